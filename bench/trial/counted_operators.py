"""Which operators multiply and add, and the formula of each: by the packet of all its overloads."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from bench.trial.flop_formulas import (
    Formula,
    added,
    added_outer,
    affine_grid,
    any_convolution,
    attention,
    attention_backward,
    bag,
    bag_backward,
    bag_weights_backward,
    convolution_backward,
    fft_c2c,
    fft_c2r,
    fft_r2c,
    grid,
    grid_backward,
    grouped,
    interpolated,
    linear,
    plain_product,
    recurrent,
    recurrent_stack,
    reduced,
    reduced_backward,
    sampled,
    straight,
    three,
    time_first,
    turned,
    twice,
    vectors,
)

PRODUCTS: Mapping[Formula, tuple[str, ...]] = {
    plain_product: ("mm", "bmm", "mv", "_int_mm", "_scaled_mm", "_scaled_mm_v2", "hspmm"),
    added: (
        "addmm", "addmm_", "addmv", "addmv_", "baddbmm", "baddbmm_", "addbmm", "addbmm_",
        "_addmm_activation", "_sparse_addmm", "sspaddmm",
    ),
    vectors: ("dot", "vdot"),
    added_outer: ("addr", "addr_"),
    grouped: ("_grouped_mm", "_scaled_grouped_mm", "_scaled_grouped_mm_v2"),
    sampled: ("sparse_sampled_addmm",),
    reduced: ("_sparse_mm_reduce_impl",),
    reduced_backward: ("_sparse_mm_reduce_impl_backward",),
    three: ("_trilinear",),
    linear: (
        "mkldnn_linear", "_weight_int8pack_mm", "_weight_int4pack_mm",
        "_weight_int4pack_mm_for_cpu", "_weight_int4pack_mm_with_scales_and_zeros",
        "_mixed_dtypes_linear",
    ),
}  # fmt: skip

NEIGHBOURHOODS: Mapping[Formula, tuple[str, ...]] = {
    any_convolution: ("convolution", "_convolution", "convolution_overrideable"),
    straight: (
        "cudnn_convolution", "cudnn_convolution_relu", "cudnn_convolution_add_relu",
        "miopen_convolution", "miopen_convolution_relu", "miopen_convolution_add_relu",
        "miopen_depthwise_convolution", "mkldnn_convolution", "_mps_convolution",
        "_nnpack_spatial_convolution", "_slow_conv2d_forward", "slow_conv3d_forward",
        "slow_conv_dilated2d", "slow_conv_dilated3d", "_conv_depthwise2d", "conv_depthwise3d",
    ),
    turned: (
        "cudnn_convolution_transpose", "miopen_convolution_transpose",
        "slow_conv_transpose2d", "slow_conv_transpose3d", "_mps_convolution_transpose",
    ),
    time_first: ("conv_tbc",),
    convolution_backward: ("convolution_backward",),
    fft_c2c: ("_fft_c2c",),
    fft_r2c: ("_fft_r2c",),
    fft_c2r: ("_fft_c2r",),
    grid: (
        "grid_sampler_2d", "grid_sampler_3d", "cudnn_grid_sampler", "_grid_sampler_2d_cpu_fallback"
    ),
    grid_backward: ("grid_sampler_2d_backward", "grid_sampler_3d_backward"),
    affine_grid: ("affine_grid_generator",),
}  # fmt: skip

LAYERS: Mapping[Formula, tuple[str, ...]] = {
    attention: (
        "_scaled_dot_product_flash_attention_for_cpu", "_scaled_dot_product_flash_attention",
        "_scaled_dot_product_efficient_attention", "_scaled_dot_product_cudnn_attention",
        "_scaled_dot_product_fused_attention_overrideable",
        "_scaled_dot_product_attention_math_for_mps",
    ),
    attention_backward: (
        "_scaled_dot_product_flash_attention_for_cpu_backward",
        "_scaled_dot_product_flash_attention_backward",
        "_scaled_dot_product_efficient_attention_backward",
        "_scaled_dot_product_cudnn_attention_backward",
    ),
    recurrent: ("mkldnn_rnn_layer",),
    twice(recurrent): ("mkldnn_rnn_layer_backward",),
    recurrent_stack: ("_cudnn_rnn", "miopen_rnn"),
    twice(recurrent_stack): ("_cudnn_rnn_backward", "miopen_rnn_backward"),
    bag: ("_embedding_bag", "_embedding_bag_forward_only"),
    bag_backward: ("_embedding_bag_backward", "_embedding_bag_dense_backward"),
    bag_weights_backward: ("_embedding_bag_per_sample_weights_backward",),
}  # fmt: skip

RESIZINGS: Mapping[str, int] = {
    "upsample_linear1d": 2, "upsample_bilinear2d": 4, "upsample_trilinear3d": 8,
    "upsample_bicubic2d": 16,
}  # fmt: skip


def formulas() -> dict[torch._ops.OpOverloadPacket, Formula]:
    """Return the formula of each operator (the packet of all its overloads) that this torch has."""
    by_name = {
        name: formula
        for table in (PRODUCTS, NEIGHBOURHOODS, LAYERS)
        for formula, names in table.items()
        for name in names
    }
    for name, taps in RESIZINGS.items():
        by_name[name], by_name[f"{name}_backward"] = interpolated(taps)
    found = {
        getattr(torch.ops.aten, name): f
        for name, f in by_name.items()
        if hasattr(torch.ops.aten, name)
    }
    for name, formula in (("_linear_pointwise", linear), ("_convolution_pointwise", straight)):
        if hasattr(torch.ops.mkldnn, name):  # only where torch was built with oneDNN
            found[getattr(torch.ops.mkldnn, name)] = formula
    return found
