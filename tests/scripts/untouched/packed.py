"""Sequences of unlike lengths through an LSTM, packed."""

import torch
from torch import nn
from torch.nn.utils.rnn import pack_sequence, pad_packed_sequence

torch.manual_seed(0)


class Tagger(nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(4, 12, batch_first=True)
        self.head = nn.Linear(12, 2)

    def forward(self, packed):
        found, lengths = pad_packed_sequence(self.lstm(packed)[0], batch_first=True)
        return self.head(found), lengths


model = Tagger()
optimizer = torch.optim.RMSprop(model.parameters(), 0.01)
losses = []
for _ in range(16):
    lengths = torch.randint(2, 9, (6,)).tolist()
    series = [torch.randn(length, 4) for length in lengths]
    labels = torch.cat([(one.sum(1) > 0).long() for one in series])
    answers, found = model(pack_sequence(series, enforce_sorted=False))
    kept = torch.cat([answer[:length] for answer, length in zip(answers, found, strict=True)])
    loss = nn.functional.cross_entropy(kept, labels)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    losses.append(loss.item())
