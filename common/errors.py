"""Every error that Sentinel raises on purpose, in one tree.

    SentinelError
    ├── SettingsError              a setting cannot work
    │   ├── StillPreparing         a stream begins to learn, and workers load the backbone for it: ask again
    │   └── NotLearned             a stream learns, and has no baseline yet
    ├── Refused                    work that can never succeed: a dead letter at once
    │   ├── BadMessage             a message, event or name breaks its contract
    │   ├── BadSource              frames of a source are unavailable
    │   │   └── PathNotAllowed     outside the allowed roots
    │   ├── BadModality            a modality is not installed, or is none
    │   ├── NothingToLearnFrom     too little of the failed footage can be read
    │   └── BaselineMismatch       features cannot be made as the baseline asks
    ├── BadBaseline                a baseline is missing, damaged or of another format
    │   └── BaselineTooShort       golden footage is too short
    ├── BadCorpus                  clean footage of too few cameras, or a damaged table of it
    ├── BackboneError              a backbone or its weights cannot be loaded
    ├── BadModel                   a champion's files are missing or damaged
    │   └── OutdatedModel          its architecture is one of an earlier version
    ├── TrainingFailed             a trainer broke, ran out of memory, or went on for too long
    ├── CameraUnavailable          a live camera does not answer, or sends no video
    ├── StorageUnavailable         object storage does not answer, or refuses the credentials
    ├── NoPhotographs              the virtual camera has nothing to look at
    ├── WindowNotFull              fewer frames than one window
    ├── NotPromoted                a promotion or rollback that cannot be
    ├── NotAccepted                footage that cannot become golden, or an acceptance that cannot be undone
    ├── UnknownStream              a stream that was never seen
    ├── AlreadyRunning             a second stack in one state folder
    ├── StoryWentOtherwise         a step of the demo ended as it should not
    └── BrokerUnavailable          Redis does not answer, or cannot be used
        └── Backlogged             Redis is full: producers wait

Each message says what is wrong and what to do about it. The class decides what
happens to the work that met the error, see `Refused`. An exception that only
steers the code within one module stays in that module.
"""


class SentinelError(Exception):
    """Base of all errors below; catch it at a process's outermost edge."""


class SettingsError(SentinelError):
    """A `SENTINEL_*` setting, or a combination of them, cannot work."""


class StillPreparing(SettingsError):
    """A stream begins to learn, and no worker has said yet which features it makes: in a moment one will."""


class NotLearned(SettingsError):
    """A stream learns by itself, and has not seen enough yet to be judged by a baseline."""


class Refused(SentinelError):
    """Work that can never succeed as it is: it goes to the dead letters at once.

    Anything else that escapes a task may be a passing trouble, and is tried
    again up to `SENTINEL_MAX_DELIVERIES` times first.
    """


class BadMessage(Refused):
    """A message, camera event or stream name that breaks its contract."""


class BadSource(Refused):
    """A file, folder or URI whose frames are unavailable: it is unreadable, empty, too large, or no video."""


class PathNotAllowed(BadSource):
    """A path outside the allowed roots (`SENTINEL_ALLOWED_ROOTS`, `SENTINEL_OBJECT_ROOTS`, and what is watched)."""


class BadModality(Refused):
    """No installed package offers the modality of a source or baseline, or what is offered is none."""


class NothingToLearnFrom(Refused):
    """The footage that failed can no longer be read, or is too little to train and to compare on."""


class BaselineMismatch(Refused):
    """This worker cannot make the features that the baseline was made of."""


class BadBaseline(SentinelError):
    """A baseline folder that is missing, incomplete, edited, or of an unknown format."""


class BaselineTooShort(BadBaseline):
    """The golden footage is too short to calibrate on; the message says how much is needed."""


class BadCorpus(SentinelError):
    """Clean footage of too few cameras to say anything about others, or a damaged table of it."""


class BackboneError(SentinelError):
    """A backbone or its weights cannot be loaded as asked."""


class BadModel(SentinelError):
    """A champion's model folder that is missing or edited, or cannot be written."""


class OutdatedModel(BadModel):
    """A champion's weights are whole, and of an architecture that this version no longer has."""


class TrainingFailed(SentinelError):
    """A trainer that broke, ran out of memory, diverged, or went on for longer than it may."""


class CameraUnavailable(SentinelError):
    """A live camera does not answer, refuses, redirects elsewhere, or sends what is no video."""


class StorageUnavailable(SentinelError):
    """Object storage does not answer, or not to these credentials: nothing is wrong with what was asked for."""


class NoPhotographs(SentinelError):
    """scikit-image, whose photographs the virtual camera shows, is not installed or incomplete."""


class WindowNotFull(SentinelError):
    """There are fewer frames than one window holds, so there is no verdict."""


class NotPromoted(SentinelError):
    """A promotion or rollback lost its compare-and-set, or names a version that does not exist."""


class NotAccepted(SentinelError):
    """Footage that a person wants for the new normal and that cannot be, or nothing that could be undone."""


class UnknownStream(SentinelError):
    """A command names a stream of which no footage ever came."""


class AlreadyRunning(SentinelError):
    """A stack with the same state folder is running."""


class StoryWentOtherwise(SentinelError):
    """A step of the demo did not end as it should."""


class DestinationRefused(Refused):
    """A destination of alerts did not take a message; it may take it later."""


class BrokerUnavailable(SentinelError):
    """Redis does not answer, or is one that Sentinel cannot run on."""


class Backlogged(BrokerUnavailable):
    """Redis holds as much unfinished work as it should: whoever brings more waits."""
