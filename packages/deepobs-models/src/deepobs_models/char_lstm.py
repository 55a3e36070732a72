"""The two-layer character model."""

import torch
from torch import Tensor, nn

from deepobs_models.checks import check_dropout, check_positive
from deepobs_models.initializers import build_layer, build_uninitialized, glorot_uniform_

LSTMState = tuple[Tensor, Tensor]  # h, c, each (1, B, hidden_size)
CharLSTMState = tuple[LSTMState, LSTMState]
"""Hidden and cell state, each `(1, B, hidden_size)`, of the first and of the second layer."""


def _build_lstm(input_size: int, hidden_size: int) -> nn.LSTM:
    """Build one layer that starts as TensorFlow's `LSTMCell`, with one trained bias.

    TensorFlow draws the kernel as one matrix (input + hidden, 4·hidden) and adds 1 to the forget
    gate at run time; here the 1 is in `bias_ih`. Two trained biases would double the step of the
    one that TensorFlow has, so `bias_hh` is zero and frozen.
    """
    lstm = build_uninitialized(nn.LSTM, input_size, hidden_size, batch_first=True)
    parameters = dict(lstm.named_parameters())
    fans = (input_size + hidden_size, 4 * hidden_size)
    glorot_uniform_(parameters["weight_ih_l0"], fans=fans)
    glorot_uniform_(parameters["weight_hh_l0"], fans=fans)
    nn.init.zeros_(parameters["bias_hh_l0"]).requires_grad_(False)
    with torch.no_grad():
        nn.init.zeros_(parameters["bias_ih_l0"])
        parameters["bias_ih_l0"][hidden_size : 2 * hidden_size].fill_(1.0)  # gates are i, f, g, o
    return lstm


class CharLSTM(nn.Module):
    """Character model: embedding, two LSTM layers, dense layer at every step.

    DeepOBS 1.1.2, `deepobs/tensorflow/testproblems/tolstoi_char_rnn.py`. Dropout on the input and
    on the output of each layer, so twice between them; the recurrence has none. All weights and the
    last bias from Glorot uniform, the LSTM's forget bias 1. Layers and trained parameters by
    default; `bias_hh` of the LSTM layers is zero and frozen::

        embedding  Embedding(83, 128)   10624
        lstm1      LSTM(128, 128)      131584
        lstm2      LSTM(128, 128)      131584
        dense      Linear(128, 83)      10707
        total                          284499

    The state is an argument and a result: ``((h1, c1), (h2, c2))``, each (1, B, hidden_size). To
    truncate backpropagation at a batch boundary, detach it before passing it on.

    Args:
        vocab_size: Number of characters.
        hidden_size: Size of the embedding and of both layers.
        dropout: Rate of the four dropout layers.

    Raises:
        ValueError: A size below 1, a dropout rate outside [0, 1); characters that are not (B, T)
            integers.

    >>> model = CharLSTM()
    >>> logits, state = model(torch.zeros(2, 50, dtype=torch.int64))
    >>> logits, state = model(torch.zeros(2, 50, dtype=torch.int64), state)
    >>> logits.shape
    torch.Size([2, 50, 83])
    """

    def __init__(
        self, vocab_size: int = 83, *, hidden_size: int = 128, dropout: float = 0.2
    ) -> None:
        super().__init__()
        check_positive(vocab_size=vocab_size, hidden_size=hidden_size)
        check_dropout(dropout=dropout)
        self.embedding = build_uninitialized(nn.Embedding, vocab_size, hidden_size)
        glorot_uniform_(self.embedding.weight)
        self.lstm1 = _build_lstm(hidden_size, hidden_size)
        self.lstm2 = _build_lstm(hidden_size, hidden_size)
        self.dense = build_layer(nn.Linear, hidden_size, vocab_size, weight_init=glorot_uniform_)
        glorot_uniform_(self.dense.bias)
        self.dropout = nn.Dropout(dropout)

    def forward(
        self, x: Tensor, state: CharLSTMState | None = None
    ) -> tuple[Tensor, CharLSTMState]:
        """Return the logits (B, T, vocab_size) of characters x (B, T), and the state after them.

        Args:
            x: Characters (B, T), integers below vocab_size.
            state: The state before the first character; None is zero.
        """
        if x.ndim != 2 or x.is_floating_point():
            raise ValueError(
                f"CharLSTM takes characters (B, T) of an integer type, got shape {tuple(x.shape)} "
                f"of {x.dtype}."
            )
        h: Tensor = self.dropout(self.embedding(x))  # (B, T, hidden_size)
        if state is None:
            # Made from h, so that it is batched where h is: nn.LSTM's own zeros are not under vmap.
            zeros = h.new_zeros(1, h.shape[0], h.shape[2])
            state = (zeros, zeros), (zeros, zeros)
        h, state1 = self.lstm1(h, state[0])
        h, state2 = self.lstm2(self.dropout(self.dropout(h)), state[1])
        return self.dense(self.dropout(h)), (state1, state2)
