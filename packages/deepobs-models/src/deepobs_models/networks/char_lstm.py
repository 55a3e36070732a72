"""The two-layer character model."""

from functools import partial

import torch
from torch import Tensor, nn

from deepobs_models.building import (
    Device,
    Factory,
    build_layer,
    build_uninitialized,
    initialize_layer,
)
from deepobs_models.checks import check_dropout, check_positive
from deepobs_models.classifier import WithClassifier
from deepobs_models.initializers import glorot_uniform_

LSTMState = tuple[Tensor, Tensor]  # h, c, each (1, B, hidden_size)
CharLSTMState = tuple[LSTMState, LSTMState]
"""Hidden and cell state, each `(1, B, hidden_size)`, of the first and of the second layer."""


def _fill_lstm(lstm: nn.LSTM) -> None:
    """Fill one layer as TensorFlow's `LSTMCell`, with one trained bias.

    TensorFlow draws the kernel as one matrix (input + hidden, 4·hidden) and adds 1 to the forget
    gate at run time; here the 1 is in `bias_ih`. Two trained biases would double the step of the
    one that TensorFlow has, so `bias_hh` is zero and frozen.
    """
    parameters = dict(lstm.named_parameters())
    fans = (lstm.input_size + lstm.hidden_size, 4 * lstm.hidden_size)
    glorot_uniform_(parameters["weight_ih_l0"], fans=fans)
    glorot_uniform_(parameters["weight_hh_l0"], fans=fans)
    nn.init.zeros_(parameters["bias_hh_l0"])
    bias = nn.init.zeros_(parameters["bias_ih_l0"])
    nn.init.ones_(bias.chunk(4)[1])  # gates are i, f, g, o


def _build_lstm(size: int, factory: Factory) -> nn.LSTM:
    lstm = build_uninitialized(nn.LSTM, size, size, batch_first=True, **factory)
    initialize_layer(lstm, _fill_lstm)
    lstm.bias_hh_l0.requires_grad_(False)
    return lstm


def _check_characters(x: Tensor) -> Tensor:
    if x.ndim != 2 or x.is_floating_point():
        raise ValueError(
            f"CharLSTM takes characters (B, T) of an integer type, got shape {tuple(x.shape)} "
            f"of {x.dtype}."
        )
    return x


def _initial_state(state: CharLSTMState | None, h: Tensor) -> CharLSTMState:
    """State, or zeros like h (B, T, hidden_size) without one.

    They are batched under vmap, unlike nn.LSTM's own zeros.
    """
    if state is not None:
        return state
    zeros = h.new_zeros(1, h.shape[0], h.shape[2])
    return (zeros, zeros), (zeros, zeros)


torch.fx.wrap("_check_characters")
torch.fx.wrap("_initial_state")


class CharLSTM(WithClassifier):
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
        device: Device of the parameters.
        dtype: Type of the parameters.

    Raises:
        ValueError: A size below 1, a dropout rate outside [0, 1); characters that are not (B, T)
            integers.

    >>> model = CharLSTM()
    >>> logits, state = model(torch.zeros(2, 50, dtype=torch.int64))
    >>> logits, state = model(torch.zeros(2, 50, dtype=torch.int64), state)
    >>> logits.shape
    torch.Size([2, 50, 83])
    """

    classifier_name = "dense"

    def __init__(
        self,
        vocab_size: int = 83,
        *,
        hidden_size: int = 128,
        dropout: float = 0.2,
        device: Device = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        check_positive(vocab_size=vocab_size, hidden_size=hidden_size)
        check_dropout(dropout=dropout)
        self.num_classes = vocab_size
        self.num_features = hidden_size
        factory: Factory = {"device": device, "dtype": dtype}
        self.embedding = build_layer(
            nn.Embedding, vocab_size, hidden_size, weight_init=glorot_uniform_, **factory
        )
        self.lstm1 = _build_lstm(hidden_size, factory)
        self.lstm2 = _build_lstm(hidden_size, factory)
        self.new_classifier = partial(
            build_layer,
            nn.Linear,
            hidden_size,
            weight_init=glorot_uniform_,
            bias_init=glorot_uniform_,
            **factory,
        )
        self.dense = self.new_classifier(vocab_size)
        self.dropout = nn.Dropout(dropout)

    def forward(
        self, x: Tensor, state: CharLSTMState | None = None
    ) -> tuple[Tensor, CharLSTMState]:
        """Logits (B, T, vocab_size) of characters x (B, T), and the state after them.

        Args:
            x: Characters (B, T), integers below vocab_size.
            state: The state before the first character; None is zero.
        """
        h, state = self.forward_features(x, state)
        return self.forward_head(h), state

    def forward_features(
        self, x: Tensor, state: CharLSTMState | None = None
    ) -> tuple[Tensor, CharLSTMState]:
        """Features (B, T, hidden_size) and the state; arguments as in `forward`."""
        x = _check_characters(x)
        h: Tensor = self.dropout(self.embedding(x))  # (B, T, hidden_size)
        state = _initial_state(state, h)
        h, state1 = self.lstm1(h, state[0])
        h, state2 = self.lstm2(self.dropout(self.dropout(h)), state[1])
        return h, (state1, state2)

    def forward_head(self, x: Tensor, pre_logits: bool = False) -> Tensor:
        """Logits (B, T, vocab_size) of features (B, T, hidden_size).

        Args:
            x: What `forward_features` returned first.
            pre_logits: Leave out the classifier.
        """
        x = self.dropout(x)
        return x if pre_logits else self.dense(x)
