"""The database of a recorded run: its tables, and how matrices lie in its blobs.

`record.sqlite` is a plain SQLite 3 file, to be read with any tool. While a run is being recorded, or after it was
killed, its latest part lies in `record.sqlite-wal` beside it: the two move together. Blobs of integers and numbers are
little-endian.

A matrix holds, for one step, one row of numbers for each thing that was measured: for each signal of its layout in
turn, as many rows as the layout says. The layout's `columns` name the numbers of a row, its `dtype` is NumPy's text for
their type ("<f4": 4 bytes, little-endian, floating point). A matrix above 1 MB is cut into pieces of whole rows,
numbered from 0 by `piece`; its rows are the pieces' rows one after the other.

A piece's blob is the matrix column by column (neighbours in a column look alike), of which first all first bytes stand,
then all second bytes, and so on (exponents look alike, last digits do not), compressed by zlib. To read it:

    planes = np.frombuffer(zlib.decompress(data), "u1").reshape(np.dtype(dtype).itemsize, -1)
    by_column = np.ascontiguousarray(planes.T).view(dtype).reshape(len(columns), -1)
    matrix = by_column.T

Snapshots lie outside, as `snapshots/<hash>.safetensors` and `graphs/<hash>.json`, where the hash is the SHA-256 of the
file's bytes, in hexadecimal (`sha256sum` gives the same). A row that names a file is written after the file is safe.
"""

from __future__ import annotations

VERSION = 1  # of the tables; a reader refuses a later one
DATABASE = "record.sqlite"  # in the run's folder

TABLES = """
CREATE TABLE meta (
    key TEXT PRIMARY KEY,     -- schema_version | started | finished (absent while it runs, and after a kill)
                              -- | configuration | model | versions | resumed
    value TEXT NOT NULL       -- a text, a moment in ISO 8601, or JSON (configuration, versions, resumed)
);
CREATE TABLE signals (        -- what numbers were taken of
    id INTEGER PRIMARY KEY,
    kind TEXT NOT NULL,       -- weight | gradient | change (of a parameter)
                              -- | input | output | input_gradient | output_gradient (of a layer)
    name TEXT NOT NULL,       -- the parameter's dotted name, or the layer's path
    shape TEXT NOT NULL,      -- JSON list, as it was when the signal was first seen
    units INTEGER NOT NULL,   -- how many units it has: output channels, neurons; of a weight, what it has for each
    UNIQUE (kind, name)
);
CREATE TABLE layouts (        -- what the rows and columns of matrices mean; never changed once written
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL,       -- statistics | sampled | full | unit_norms | samples | histograms | dead
                              -- | influence.<method>
    dtype TEXT NOT NULL,      -- NumPy's text for the numbers' type, such as <f4
    columns TEXT NOT NULL,    -- JSON list of the columns' names
    signals TEXT NOT NULL     -- JSON list of [signal id, number of rows], in the order of the rows
);
CREATE TABLE matrices (
    layout INTEGER NOT NULL,  -- layouts.id
    step INTEGER NOT NULL,    -- the training step the numbers belong to
    piece INTEGER NOT NULL,   -- 0, 1, ...: pieces of whole rows
    data BLOB NOT NULL,       -- as told above
    PRIMARY KEY (layout, step, piece)
);
CREATE TABLE steps (
    step INTEGER PRIMARY KEY, -- counts updates of the weights over the whole run
    epoch INTEGER,
    batch INTEGER,            -- the batch's number within its epoch
    time REAL,                -- when it ended, in seconds since 1970 (UTC)
    seconds REAL,             -- how long it took
    loss REAL,                -- NULL where it was not recorded, or no number (NaN)
    rates TEXT,               -- JSON list: the learning rate of each parameter group
    memory INTEGER,           -- bytes
    samples BLOB,             -- int64: which samples of the data set the batch held, or NULL
    random TEXT               -- JSON: the state of the random streams, or NULL
);
CREATE TABLE epochs (
    epoch INTEGER PRIMARY KEY,
    step INTEGER NOT NULL,    -- the last of the epoch
    numbers TEXT NOT NULL     -- JSON object: metrics by name; null for NaN and infinity
);
CREATE TABLE influence (      -- the units that mattered most, over the whole network
    step INTEGER NOT NULL,
    method TEXT NOT NULL,     -- how it was estimated, such as taylor
    rank INTEGER NOT NULL,    -- 1 is the most influential
    signal INTEGER NOT NULL,  -- signals.id
    unit INTEGER NOT NULL,    -- which of the signal's units, from 0
    score REAL NOT NULL,
    PRIMARY KEY (step, method, rank)
);
CREATE TABLE agreement (      -- how well an estimate of influence agrees with removing units one by one
    step INTEGER NOT NULL,
    method TEXT NOT NULL,
    correlation REAL,         -- NULL where it is not defined
    units INTEGER NOT NULL,   -- how many were removed
    truth TEXT NOT NULL,      -- JSON: what removing did
    PRIMARY KEY (step, method)
);
CREATE TABLE snapshots (
    step INTEGER NOT NULL,
    kind TEXT NOT NULL,       -- weights | probe (outputs on the probe set) | graph
    hash TEXT NOT NULL,       -- names the file
    PRIMARY KEY (step, kind)
);
CREATE TABLE notes (
    id INTEGER PRIMARY KEY,
    step INTEGER NOT NULL,
    time REAL NOT NULL,       -- seconds since 1970 (UTC)
    severity TEXT NOT NULL,   -- note | warning | stop
    rule TEXT NOT NULL,       -- which rule spoke
    signal TEXT,              -- the name of the parameter or layer it is about
    unit INTEGER,
    text TEXT NOT NULL
);
"""

# Tables with one row, or some, for each step: what `resume` cuts back
STEPWISE = ("matrices", "steps", "epochs", "influence", "agreement", "snapshots", "notes")
SEVERITIES = ("note", "warning", "stop")
