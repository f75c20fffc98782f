"""Operators whose arithmetic is left out of the FLOPs, as everywhere in the field.

What looks at each number a fixed number of times is free: element by element, reductions,
normalisation, pooling, losses, choosing and moving, sorting, random numbers, conversions. Torch
itself marks views and most of what works element by element; the rest stands here by name. What is
neither here nor has a formula is unknown, whatever it is called.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch

IN_PLACE_TOO = """
abs bernoulli cauchy copysign cumprod cumsum elu embedding_renorm eq exponential fill floor_divide
gcd ge gelu geometric gt hardswish heaviside index_add index_copy index_fill index_put index_reduce
lcm le log_normal lt masked_fill masked_scatter mish ne normal put random renorm resize resize_as
rrelu_with_noise scatter scatter_add scatter_reduce set squeeze swapaxes t threshold transpose tril
triu uniform unsqueeze zero as_strided detach copy _index_put_impl _fused_adagrad _fused_adam
_fused_adamw _fused_sgd _amp_update_scale _amp_foreach_non_finite_check_and_unscale _coalesced
sparse_resize sparse_resize_and_clear resize_as_sparse copy_sparse_to_sparse _mkldnn_transpose
_philox_normal _philox_uniform _resize_output _add_relu
"""
FOREACH = """
abs acos add addcdiv addcmul asin atan ceil clamp_max clamp_min clone copy cos cosh div erf erfc
exp expm1 floor frac lerp lgamma log log10 log1p log2 max maximum minimum mul neg norm pow powsum
reciprocal round rsqrt sigmoid sign sin sinh sqrt sub tan tanh trunc zero
"""
ELEMENTWISE = """
complex polar __and__ __or__ softmax log_softmax _softmax _log_softmax _softmax_backward_data
_log_softmax_backward_data _safe_softmax _masked_softmax _masked_softmax_backward _masked_scale
native_dropout native_dropout_backward _fused_dropout elu_backward glu glu_backward glu_jvp
glu_backward_jvp hardshrink_backward hardsigmoid_backward hardswish_backward hardtanh_backward
leaky_relu_backward log_sigmoid_forward log_sigmoid_backward softplus_backward softshrink_backward
rrelu_with_noise_backward rrelu_with_noise_functional _prelu_kernel _prelu_kernel_backward
linalg_cross _thnn_fused_gru_cell _thnn_fused_gru_cell_backward _thnn_fused_lstm_cell
_thnn_fused_lstm_cell_backward_impl _thnn_differentiable_lstm_cell_backward
_thnn_differentiable_gru_cell_backward _transform_bias_rescale_qkv _standard_gamma_grad
_dirichlet_grad clamp isin bucketize searchsorted
"""
REDUCTIONS = """
_aminmax all allclose amax amin aminmax any argmax argmin bincount count_nonzero cummax cummin
_cummax_helper _cummin_helper _logcumsumexp logcumsumexp logsumexp dist equal hash_tensor histc
histogram _histogramdd_bin_edges _histogramdd_from_bin_cts _histogramdd_from_bin_tensors kthvalue
linalg_vector_norm linalg__powsum max mean median min mode nanmedian nansum norm prod std std_mean
sum trace unique_consecutive unique_dim unique_dim_consecutive _unique _unique2 var var_mean
segment_reduce _segment_reduce_backward _sparse_sum _sparse_sum_backward _sparse_csr_sum
_sparse_csr_prod _sparse_softmax _sparse_softmax_backward_data _sparse_log_softmax
_sparse_log_softmax_backward_data _is_all_true _is_any_true
"""
NORMALISATION = """
batch_norm_backward batch_norm_backward_elemt batch_norm_backward_reduce batch_norm_elemt
batch_norm_gather_stats batch_norm_gather_stats_with_counts batch_norm_stats
batch_norm_update_stats _batch_norm_no_update _batch_norm_with_update
_batch_norm_with_update_functional cudnn_batch_norm cudnn_batch_norm_backward miopen_batch_norm
miopen_batch_norm_backward native_batch_norm native_batch_norm_backward _native_batch_norm_legit
_native_batch_norm_legit_functional _native_batch_norm_legit_no_training native_group_norm
native_group_norm_backward native_layer_norm native_layer_norm_backward native_norm _fused_rms_norm
_fused_rms_norm_backward _weight_norm_interface _weight_norm_interface_backward
quantized_batch_norm
"""
POOLING = """
_adaptive_avg_pool2d _adaptive_avg_pool2d_backward _adaptive_avg_pool3d
_adaptive_avg_pool3d_backward adaptive_avg_pool1d adaptive_avg_pool2d adaptive_avg_pool3d
adaptive_avg_pool3d_backward adaptive_max_pool2d adaptive_max_pool2d_backward adaptive_max_pool3d
adaptive_max_pool3d_backward avg_pool1d avg_pool2d avg_pool2d_backward avg_pool3d
avg_pool3d_backward fractional_max_pool2d fractional_max_pool2d_backward fractional_max_pool3d
fractional_max_pool3d_backward max_pool2d_backward max_pool2d_with_indices
max_pool2d_with_indices_backward max_pool3d_with_indices max_pool3d_with_indices_backward
max_unpool2d max_unpool3d mkldnn_adaptive_avg_pool2d mkldnn_adaptive_avg_pool2d_backward
mkldnn_max_pool2d mkldnn_max_pool2d_backward mkldnn_max_pool3d mkldnn_max_pool3d_backward
quantized_max_pool1d quantized_max_pool2d quantized_max_pool3d
"""
LOSSES = """
binary_cross_entropy binary_cross_entropy_backward binary_cross_entropy_with_logits _ctc_loss
_ctc_loss_backward _cudnn_ctc_loss _use_cudnn_ctc_loss miopen_ctc_loss _use_miopen_ctc_loss
huber_loss huber_loss_backward mse_loss mse_loss_backward multi_margin_loss
multi_margin_loss_backward multilabel_margin_loss_forward multilabel_margin_loss_backward
nll_loss_forward nll_loss_backward nll_loss2d_forward nll_loss2d_backward smooth_l1_loss
smooth_l1_loss_backward soft_margin_loss soft_margin_loss_backward
"""
CHOOSING_AND_MOVING = """
cat _chunk_cat stack _stack split split_copy split_with_sizes_copy unsafe_split
unsafe_split_with_sizes block_diag channel_shuffle pixel_shuffle pixel_unshuffle clone _lazy_clone
constant_pad_nd reflection_pad1d reflection_pad1d_backward reflection_pad2d
reflection_pad2d_backward reflection_pad3d reflection_pad3d_backward replication_pad1d
replication_pad1d_backward replication_pad2d replication_pad2d_backward replication_pad3d
replication_pad3d_backward diag_embed diagonal_backward diagonal_copy diagonal_scatter
select_backward select_copy select_scatter slice slice_backward slice_copy slice_scatter
as_strided_copy as_strided_scatter alias_copy expand_copy permute_copy narrow_copy t_copy
transpose_copy squeeze_copy unsqueeze_copy unbind_copy unfold_backward unfold_copy view_copy
view_as_complex_copy view_as_real_copy detach_copy _conj_copy _fw_primal_copy _make_dual_copy
_nested_get_values_copy _nested_view_from_buffer_copy _nested_view_from_jagged_copy _neg_view_copy
_reshape_alias_copy _reshape_copy _unsafe_view _reshape_alias _copy_from _copy_from_and_resize
embedding embedding_dense_backward gather index index_select _unsafe_index _unsafe_index_put
_unsafe_masked_index _unsafe_masked_index_put_accumulate masked_select masked_scatter_backward
nonzero nonzero_static take repeat repeat_interleave flip roll rot90 im2col col2im sort topk lift
lift_fresh_copy _nested_from_padded _nested_from_padded_tensor
_nested_from_padded_and_nested_example to_padded_tensor _jagged_to_padded_dense_forward
_padded_dense_to_jagged_forward _nested_tensor_from_mask _nested_tensor_from_tensor_list
_nested_select_backward _nested_sum_backward _pack_padded_sequence _pad_packed_sequence
upsample_nearest1d upsample_nearest1d_backward upsample_nearest2d upsample_nearest2d_backward
upsample_nearest3d upsample_nearest3d_backward _upsample_nearest_exact1d
_upsample_nearest_exact1d_backward _upsample_nearest_exact2d _upsample_nearest_exact2d_backward
_upsample_nearest_exact3d _upsample_nearest_exact3d_backward lu_unpack _cudnn_rnn_flatten_weight
record_stream _pin_memory is_pinned
"""
CONVERSIONS = """
_to_copy _to_dense to_dense _to_sparse _to_sparse_bsc _to_sparse_bsr _to_sparse_csc _to_sparse_csr
to_mkldnn _mkldnn_reshape mkldnn_reorder_conv2d_weight mkldnn_reorder_conv3d_weight _coalesce
is_coalesced values _nnz _dimI _dimV dense_dim sparse_dim sparse_mask _sparse_mask_projection
_spdiags _sparse_broadcast_to_copy _indices_copy indices_copy _values_copy values_copy
ccol_indices_copy col_indices_copy crow_indices_copy row_indices_copy
_convert_indices_from_coo_to_csr _convert_indices_from_csr_to_coo
_validate_compressed_sparse_indices _validate_sparse_coo_tensor_args
_validate_sparse_compressed_tensor_args sparse_coo_tensor sparse_compressed_tensor
_sparse_coo_tensor_unsafe _sparse_coo_tensor_with_dims _sparse_coo_tensor_with_dims_and_tensors
_sparse_compressed_tensor_unsafe _sparse_csr_tensor_unsafe dequantize quantize_per_channel
quantize_per_tensor quantize_per_tensor_dynamic int_repr q_per_channel_axis q_per_channel_scales
q_per_channel_zero_points q_scale q_zero_point qscheme _make_per_channel_quantized_tensor
_make_per_tensor_quantized_tensor _empty_affine_quantized _empty_per_channel_affine_quantized
fake_quantize_per_channel_affine_cachemask fake_quantize_per_tensor_affine_cachemask
_fake_quantize_learnable_per_channel_affine _fake_quantize_learnable_per_channel_affine_backward
_fake_quantize_learnable_per_tensor_affine _fake_quantize_learnable_per_tensor_affine_backward
_fake_quantize_per_tensor_affine_cachemask_tensor_qparams _fused_moving_avg_obs_fq_helper
_fused_moving_avg_obs_fq_helper_functional choose_qparams_optimized _choose_qparams_per_tensor
_convert_weight_to_int4pack _convert_weight_to_int4pack_for_cpu _dyn_quant_pack_4bit_weight
"""
MAKING = """
empty_like full_like ones_like rand_like randint_like randn_like zeros_like new_empty
new_empty_strided new_full new_ones new_zeros _new_zeros_with_same_feature_meta scalar_tensor
arange linspace logspace range fill bernoulli binomial multinomial normal_functional poisson
_standard_gamma _sample_dirichlet _efficientzerotensor _cudnn_init_dropout_state
_fill_mem_eff_dropout_mask_
"""
ASKING = """
_local_scalar_dense item size stride sym_size sym_stride sym_numel sym_storage_offset numel dim
is_same_size is_set_to _has_same_storage_numel _assert_async _assert_tensor_metadata _assert_scalar
_functional_assert_async _functional_assert_scalar _linalg_check_errors _fused_sdp_choice
_nested_tensor_size _nested_tensor_storage_offsets _nested_tensor_strides _nested_get_lengths
_nested_get_max_seqlen _nested_get_min_seqlen _nested_get_offsets _nested_get_ragged_idx
_nested_get_jagged_dummy _nested_compute_contiguous_strides_offsets
"""
OTHER_ROOMS = frozenset({"prim", "profiler"})
"""Namespaces of operators that only ask or note."""


def free_names() -> frozenset[str]:
    """Return the names within aten of what is free though torch doesn't mark it so."""
    groups = (ELEMENTWISE, REDUCTIONS, NORMALISATION, POOLING, LOSSES, CHOOSING_AND_MOVING,
              CONVERSIONS, MAKING, ASKING)  # fmt: skip
    found = {name for group in groups for name in group.split()}
    found |= {name + end for name in IN_PLACE_TOO.split() for end in ("", "_")}
    found |= {f"_foreach_{name}{end}" for name in FOREACH.split() for end in ("", "_")}
    return frozenset(found)


def is_free(
    func: torch._ops.OpOverload, names: frozenset[str], args: tuple[object, ...],
    kwargs: Mapping[str, object],
) -> bool:  # fmt: skip
    """Tell whether one overload of an operator, called so, multiplies and adds nothing up."""
    if func.is_view or torch.Tag.pointwise in func.tags:
        return True
    if func.namespace in OTHER_ROOMS:
        return True
    if func.namespace == "aten" and func._overloadpacket.__name__ in names:
        return True
    given = torch.utils._pytree.tree_leaves((args, kwargs))
    return not any(isinstance(value, torch.Tensor) for value in given)  # made out of nothing
