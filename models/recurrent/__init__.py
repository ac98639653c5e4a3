"""Recurrent layers with fast kernels, ``Bidirectional``, and ``RecurrentStack``.

LSTM, GRU and SimpleRNN are Keras's; MinGRU, MinLSTM and RGLRU are parallel in time.
"""

from models.recurrent.cells import GRU as GRU
from models.recurrent.cells import LSTM as LSTM
from models.recurrent.cells import Bidirectional as Bidirectional
from models.recurrent.cells import SimpleRNN as SimpleRNN
from models.recurrent.kernels import portable as portable
from models.recurrent.parallel import RGLRU as RGLRU
from models.recurrent.parallel import MinGRU as MinGRU
from models.recurrent.parallel import MinLSTM as MinLSTM
from models.recurrent.stack import CELLS as CELLS
from models.recurrent.stack import RecurrentStack as RecurrentStack
