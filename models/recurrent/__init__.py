"""Recurrent layers: LSTM, GRU and SimpleRNN with fast kernels, ``Bidirectional``, and ``RecurrentStack``."""

from models.recurrent.cells import GRU as GRU
from models.recurrent.cells import LSTM as LSTM
from models.recurrent.cells import Bidirectional as Bidirectional
from models.recurrent.cells import SimpleRNN as SimpleRNN
from models.recurrent.kernels import portable as portable
from models.recurrent.stack import CELLS as CELLS
from models.recurrent.stack import RecurrentStack as RecurrentStack
