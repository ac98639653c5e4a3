"""Where a stranger gets the data sets that the README names, under which terms, and in which layout we read them."""

from dataclasses import dataclass
from pathlib import Path

from pipelines.config import nearest
from pipelines.data.download import fetch, unpack
from pipelines.data.tfds_folder import PREFIX

_MULTI30K = "https://raw.githubusercontent.com/neychev/small_DL_repo/master/datasets/Multi30k"
_OPENSLR = "https://www.openslr.org/resources/12"


FOLDER = "data"
"""Where sets are fetched to, and looked for by their names."""


@dataclass(frozen=True)
class Archive:
    """One file to fetch: address, SHA-256, and the size in bytes beyond which it cannot be the right one."""

    url: str
    sha256: str
    most_bytes: int


@dataclass(frozen=True)
class DataSet:
    """One data set.

    Attributes:
        task: which task reads it.
        what: content and official splits.
        licence: terms of use, and whom to cite.
        size: to download, and on disk.
        where: the page or address to get it from.
        layout: what we read, relative to what ``--data`` names.
        archives: what ``pipelines data NAME`` fetches; empty where no stable address is known, or terms forbid it.
        folder: what to hand to ``--data``, inside the unpacked folder.
        most_unpacked: bytes beyond which unpacking stops.
    """

    task: str
    what: str
    licence: str
    size: str
    where: str
    layout: str
    archives: tuple[Archive, ...] = ()
    folder: str = ""
    most_unpacked: int = 0


SETS: dict[str, DataSet] = {
    "imdb": DataSet(
        task="sentiment",
        what="Large Movie Review Dataset v1: 25,000 train and 25,000 test reviews, half positive, no validation split",
        licence="for research; cite Maas et al. 2011",
        size="84 MB, unpacked 100,000 small files",
        where="https://ai.stanford.edu/~amaas/data/sentiment/",
        layout="SPLIT/{pos,neg}/*.txt",
        archives=(
            Archive(
                "https://ai.stanford.edu/~amaas/data/sentiment/aclImdb_v1.tar.gz",
                "c40f74a18d3b61f90feba1e17730e0d38e8b97c05fde7008942e91923d1658fe",
                84_125_825,
            ),
        ),
        folder="aclImdb",
        most_unpacked=1_000_000_000,
    ),
    "multi30k": DataSet(
        task="translation",
        what="English and German picture descriptions: train 29,000 pairs, val 1,014, test (2016) 1,000",
        licence="for research; cite Elliott et al. 2016",
        size="under 2 MB, 5 MB unpacked",
        where="https://github.com/multi30k/dataset",
        layout="SPLIT.en beside SPLIT.de, a sentence a line",
        archives=(
            Archive(
                f"{_MULTI30K}/training.tar.gz",
                "20140d013d05dd9a72dfde46478663ba05737ce983f478f960c1123c6671be5e",
                5_000_000,
            ),
            Archive(
                f"{_MULTI30K}/validation.tar.gz",
                "a7aa20e9ebd5ba5adce7909498b94410996040857154dab029851af3a866da8c",
                5_000_000,
            ),
            Archive(
                f"{_MULTI30K}/mmt16_task1_test.tar.gz",
                "6d1ca1dba99e2c5dd54cae1226ff11c2551e6ce63527ebb072a1f70f72a5cd36",
                5_000_000,
            ),
        ),
        most_unpacked=50_000_000,
    ),
    "an4": DataSet(
        task="speech",
        what="CMU AN4, spelled names and numbers: 948 recordings of 74 speakers to train, 130 of 10 others to test",
        licence="Carnegie Mellon University, BSD-like",
        size="about 65 MB",
        where="https://github.com/cmusphinx/an4 (docs/your-data.md makes its table)",
        layout="a table with the columns path, text, split (and speaker) beside the recordings",
    ),
    "librispeech": DataSet(
        task="speech",
        what="LibriSpeech, read books, 16 kHz: train-clean-100 (100 hours), dev-clean and test-clean (5 hours each)",
        licence="CC BY 4.0; cite Panayotov et al. 2015",
        size="7.1 GB",
        where="https://www.openslr.org/12",
        layout="SPLIT/SPEAKER/CHAPTER/*.flac beside *.trans.txt",
        archives=(
            Archive(
                f"{_OPENSLR}/train-clean-100.tar.gz",
                "d4ddd1d5a6ab303066f14971d768ee43278a5f2a0aa43dc716b0e64ecbbbf6e2",
                6_387_309_499,
            ),
            Archive(
                f"{_OPENSLR}/dev-clean.tar.gz",
                "76f87d090650617fca0cac8f88b9416e0ebf80350acb97b343a85fa903728ab3",
                337_926_286,
            ),
            Archive(
                f"{_OPENSLR}/test-clean.tar.gz",
                "39fde525e59672dc6d1551919b1478f724438a95aa55f874b576be21967e6c23",
                346_663_984,
            ),
        ),
        folder="LibriSpeech",
        most_unpacked=9_000_000_000,
    ),
    "ljspeech": DataSet(
        task="speech",
        what="LJSpeech 1.1: 13,100 recordings of one reader, 24 hours, no splits",
        licence="public domain",
        size="2.7 GB, 3.8 GB unpacked",
        where="https://keithito.com/LJ-Speech-Dataset/",
        layout="metadata.csv beside wavs/*.wav",
        archives=(
            Archive(
                "https://data.keithito.com/data/speech/LJSpeech-1.1.tar.bz2",
                "be1a30453f28eb8dd26af4101ae40cbf2c50413b1bb21936cbcdc6fae3de8aa5",
                2_748_572_632,
            ),
        ),
        folder="LJSpeech-1.1",
        most_unpacked=5_000_000_000,
    ),
    "flickr8k": DataSet(
        task="captioning",
        what="Flickr8k: 8,091 photographs with five captions each; train 6,000, dev 1,000, test 1,000",
        licence="for research, not commercial; cite Hodosh et al. 2013",
        size="1.1 GB",
        where="https://github.com/jbrownlee/Datasets/releases (Flickr8k_Dataset.zip and Flickr8k_text.zip)",
        layout="Flickr8k.token.txt, Flickr_8k.{train,dev,test}Images.txt and a folder with the pictures",
    ),
}


def run(name: str = "", out: str | Path = FOLDER) -> int:
    """Print the catalogue; or fetch one set (``tfds:NAME`` too) and print what to hand to ``--data``.

    Raises:
        ValueError: there is no such set.
        RuntimeError: it cannot be fetched here.
    """
    if not name:
        print("\n\n".join(_entry(*item) for item in SETS.items()))
    elif name.startswith(PREFIX):
        from pipelines.data.tfds import prepare  # noqa: PLC0415  # imports tensorflow

        prepare(name)
        print(name)
    else:
        print(get(name, Path(out).expanduser()))
    return 0


def located(spec: str) -> str:
    """Return where the named set ``spec`` lies that ``pipelines data`` fetched here; any other specification as it is.

    Raises:
        ValueError: the set is not here.
    """
    if spec not in SETS or Path(spec).exists():
        return spec
    folder = Path(FOLDER, spec, SETS[spec].folder)
    if not folder.exists():
        way = f"`pipelines data {spec}` fetches it" if SETS[spec].archives else "`pipelines data` says where it is"
        raise ValueError(f"--data {spec}: neither {spec} nor {folder} is here; {way}")
    return str(folder)


def get(name: str, out: Path) -> Path:
    """Fetch and unpack one set under ``out``, and return what to hand to ``--data``; what is there is kept.

    Raises:
        ValueError: there is no such set.
        RuntimeError: no address is known that may be fetched without asking, or fetching failed.
    """
    if name not in SETS:
        raise ValueError(f"data {name}: expected one of {', '.join(SETS)}, or tfds:NAME{nearest(name, list(SETS))}")
    chosen, folder = SETS[name], out / name
    if not chosen.archives:
        raise RuntimeError(f"{name} has to be fetched by hand: {chosen.where}; we read {chosen.layout}")
    if not folder.exists():
        files = [out / "downloads" / archive.url.rpartition("/")[2] for archive in chosen.archives]
        for archive, file in zip(chosen.archives, files, strict=True):
            fetch(archive.url, file, archive.sha256, archive.most_bytes)
        unpack(files, folder, chosen.most_unpacked)
    return folder / chosen.folder if chosen.folder else folder


def _entry(name: str, chosen: DataSet) -> str:
    get_it = f"pipelines data {name}" if chosen.archives else "by hand"
    lines = {
        "what": chosen.what,
        "licence": chosen.licence,
        "size": chosen.size,
        "where": chosen.where,
        "get it": get_it,
        "layout": chosen.layout,
    }
    return "\n".join([f"{name} ({chosen.task})", *(f"  {key:<9}{value}" for key, value in lines.items())])
