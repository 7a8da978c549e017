"""`sentinel baseline build | list | show`: the references that streams are judged by."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from common.contracts.coverage import Coverage
from common.errors import BadBaseline, SentinelError
from common.moments import clock
from common.settings import get_settings
from sentinel.cli.console import JsonOption, columns, err, frame_progress, out, print_json, print_messages
from sentinel.cli.footage import footage_path
from sentinel.cli.zones import IgnoreOption, ignored

app = typer.Typer(help="Make and look at golden baselines.", no_args_is_help=True)

_LONGEST_LIST = 12  # items shown on a line


@app.command()
def build(
    sources: Annotated[
        list[Path],
        typer.Argument(
            parser=footage_path,
            metavar="SOURCE...",
            help="Golden footage: videos, image folders, or folders of them; or objects and prefixes, s3://BUCKET/KEY.",
        ),
    ],
    name: Annotated[str, typer.Option(help="What to call it.")],
    out_dir: Annotated[
        Path | None, typer.Option("--out", help="Folder to keep it in [SENTINEL_BASELINES_DIR].")
    ] = None,
    backbone: Annotated[str, typer.Option(help="Embedding model [SENTINEL_BACKBONE].")] = "",
    weights: Annotated[str, typer.Option(help="imagenet, a file, or random:SEED [SENTINEL_WEIGHTS].")] = "",
    precision: Annotated[str, typer.Option(help="f32, bf16 or int8 [SENTINEL_PRECISION].")] = "",
    ignore: IgnoreOption = None,
    replace: Annotated[bool, typer.Option("--replace", help="Replace a baseline of the same name.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Learn from golden footage what a stream looks like when all is well."""
    from common.baselines.build import build_baseline, check_name
    from common.extraction import load_extractor
    from common.sources.find import find_sources
    from common.sources.limits import Limits
    from common.sources.local import modality_of

    check_name(name)
    target = (out_dir or get_settings().baselines_dir) / name
    if target.exists() and not replace:
        raise BadBaseline(f"there is a baseline {name!r} in {target.parent}: say --replace, or choose another --name")
    asked = {"backbone": backbone, "weights": weights, "precision": precision}
    chosen = {key: value for key, value in asked.items() if value}
    settings = get_settings().model_copy(update={**chosen, **ignored(ignore)})
    paths = [path for source in sources for path in find_sources(source)]
    modality = modality_of(paths[0], Limits.from_settings(settings))
    if modality.embedding is not None:
        err.print(f"backbone {settings.backbone}, weights {settings.weights}")
    extractor = load_extractor(settings, modality, None)
    with frame_progress() as progress:
        stored = build_baseline(paths, name, target, extractor, settings, progress)
    manifest = stored.baseline.to_manifest()
    if as_json:
        print_json(manifest.model_dump_json())
        return
    out.styled("baseline ", (name, "bold"), f" in {stored.folder}")
    show_manifest(manifest.model_dump(mode="json"), stored.id)


@app.command("list")
def list_(as_json: JsonOption = False) -> None:
    """List the baselines in SENTINEL_BASELINES_DIR."""
    from common.baselines.storage import list_baselines, read_manifest

    folder = get_settings().baselines_dir
    files, damaged = [], 0
    for path in list_baselines(folder):
        try:
            files.append(read_manifest(path))
        except SentinelError as error:
            damaged += 1
            err.styled((f"{path.name} cannot be used", "red"), f": {error}")
    if as_json:
        print_messages([file.manifest for file in files])
        return
    if not files and not damaged:
        out.print(f"no baselines in {folder}: make one with `sentinel baseline build FILES --name NAME`")
        return
    rows = [
        [f.manifest.name, f.digest[:12], f.manifest.feature_spec.backbone, str(f.manifest.rule.frames)] for f in files
    ]
    if rows:
        columns(["name", "id", "backbone", "window, frames"], rows)


@app.command()
def show(name: str, as_json: JsonOption = False) -> None:
    """Show how a baseline was made."""
    from common.baselines.storage import find_baseline, load_baseline

    stored = load_baseline(find_baseline(name, get_settings().baselines_dir))
    manifest = stored.baseline.to_manifest()
    if as_json:
        print_json(manifest.model_dump_json())
    else:
        show_manifest(manifest.model_dump(mode="json"), stored.id)


def show_manifest(fields: dict[str, object], digest: str) -> None:
    """Print what a manifest says, a line for each value."""
    rows = [["id", digest]]
    covered = fields.get("coverage")
    if isinstance(covered, dict):
        rows += _coverage_rows(Coverage.model_validate(covered))
    for name, value in fields.items():
        if name == "coverage":
            continue
        if name == "clean_ratios" and isinstance(value, list):
            rows.append(["false alarms", _false_alarms(value, get_settings().drift_threshold)])
            continue
        if name == "created_at" and isinstance(value, float):
            rows.append([name, clock(value)])
            continue
        if isinstance(value, dict):
            rows += [[f"{name}.{key}", _text(item)] for key, item in value.items()]
        elif isinstance(value, list) and value and isinstance(value[0], dict):
            for position, row in enumerate(value):
                rows += [[f"{name}[{position}].{key}", _text(item)] for key, item in row.items()]
        else:
            rows.append([name, _text(value)])
    columns(["what", "value"], rows)


def _false_alarms(clean_ratios: Sequence[float], threshold: float) -> str:
    """Say how many clean windows of other cameras exceed the threshold, with the 95% upper bound of that share."""
    from common.drift.intervals import most_share

    above = sum(1.0 - 1.0 / max(ratio, 1.0) > threshold for ratio in clean_ratios)
    most = most_share(above, len(clean_ratios))
    return (
        f"{above} of {len(clean_ratios)} clean windows of other cameras score above {threshold:g}: "
        f"at most {most:.1%} of windows at the upper bound of 95%"
    )


def _coverage_rows(coverage: Coverage) -> list[list[str]]:
    """Return what was learned over days, a line for each value."""
    from common.baselines.learned_in_words import coverage_rows

    return [[f"coverage.{name}", text] for name, text in coverage_rows(coverage)]


def _text(value: object) -> str:
    if isinstance(value, list) and len(value) > _LONGEST_LIST:
        return f"{len(value)} values, see --json"
    if isinstance(value, float):
        return f"{value:.4g}"
    return "every frame" if value is None else str(value)
