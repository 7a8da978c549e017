"""Downloads a model of Kaggle, in a process of its own.

    python -m common.backbones.kaggle_download OWNER/MODEL/FRAMEWORK/VARIATION[/VERSION] FOLDER

FOLDER then holds `VERSION/model/` with the files that make up the backbone, or the reason why there are none.
"""

from __future__ import annotations

import os
import shutil
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from common.backbones.kaggle import MODEL_FOLDER, REASON_FILE, KaggleName, choose_files, parse_kaggle_name
from common.errors import BackboneError

_LOG_IN = (
    "put a token of your Kaggle account into ~/.kaggle/access_token or KAGGLE_API_TOKEN, "
    "and accept the model's licence on its page if it asks for that"
)
_BY_HAND = "or download the model and set SENTINEL_BACKBONE to its file"
_PAGE_FILES = 200
_MOST_FILES = 10_000
_REASON_LENGTH = 200


def main(name: str, folder: Path) -> int:
    """Download into `folder`; return the process's exit code."""
    # Notebooks of Kaggle and Colab mount models instead: one way of getting them is enough.
    os.environ.update(DISABLE_KAGGLE_CACHE="true", DISABLE_COLAB_CACHE="true")
    try:
        download(parse_kaggle_name(name), folder)
    except BackboneError as error:
        (folder / REASON_FILE).write_text(str(error), encoding="utf-8")
        return 1
    return 0


def download(name: KaggleName, folder: Path) -> None:
    """Write the backbone's files to `folder/VERSION/model/`.

    Raises
    ------
    BackboneError
        If Kaggle does not answer or refuses, there is no such model, or none of its files can be a backbone.
    """
    import kagglehub

    try:
        found = replace(name, version=name.version or _newest_version(name))
        chosen = choose_files(_list_files(found), str(found))
        model = folder / str(found.version) / MODEL_FOLDER
        for file in chosen.files:
            kagglehub.model_download(str(found), path=file, output_dir=str(model))
    except BackboneError:
        raise
    except Exception as error:  # whatever Kaggle, a proxy or the disk makes the client raise
        raise BackboneError(_explain(error, name)) from error
    shutil.rmtree(model / ".complete", ignore_errors=True)  # kagglehub's marks are no part of the model


def _newest_version(name: KaggleName) -> int:
    from kagglehub.clients import build_kaggle_client
    from kagglesdk.models.types.model_api_service import ApiGetModelInstanceRequest

    with build_kaggle_client() as client:
        found = client.models.model_api_client.get_model_instance(_address(ApiGetModelInstanceRequest(), name))
    version = int(found.version_number)
    if version < 1:
        raise BackboneError(f"kaggle:{name} has no version yet: choose another variation")
    return version


def _list_files(name: KaggleName) -> list[str]:
    from kagglehub.clients import build_kaggle_client
    from kagglesdk.models.types.model_api_service import ApiListModelInstanceVersionFilesRequest

    request = _address(ApiListModelInstanceVersionFilesRequest(), name)
    request.version_number = name.version
    request.page_size = _PAGE_FILES
    files: list[str] = []
    with build_kaggle_client() as client:
        while len(files) <= _MOST_FILES:
            page = client.models.model_api_client.list_model_instance_version_files(request)
            files += [str(file.name) for file in page.files]
            if not page.next_page_token:
                return files
            request.page_token = page.next_page_token
    raise BackboneError(f"kaggle:{name} holds more than {_MOST_FILES} files: choose another variation, {_BY_HAND}")


def _address(request: Any, name: KaggleName) -> Any:
    """Return a request of the API, which is untyped, with the variation that it is about."""
    from kagglehub.enum import to_enum
    from kagglesdk.models.types.model_enums import ModelFramework

    try:
        request.framework = to_enum(ModelFramework, name.framework)
    except ValueError as error:
        raise BackboneError(
            f"kaggle:{name}: Kaggle knows no framework {name.framework!r}: write it as the model's page does, "
            "for example tensorFlow2, keras or onnx"
        ) from error
    request.owner_slug, request.model_slug, request.instance_slug = name.owner, name.model, name.variation
    return request


def _explain(error: Exception, name: KaggleName) -> str:
    """Return what failed and what to do about it."""
    import requests

    said = ((str(error).strip() or type(error).__name__).splitlines()[0])[:_REASON_LENGTH]
    response = getattr(error, "response", None)
    status = response.status_code if response is not None else None
    if status == 404:
        return f"Kaggle has no model {name} ({said}): check SENTINEL_BACKBONE, it is case-sensitive"
    if status in {401, 403}:
        return f"Kaggle does not let this account read {name} ({said}): check SENTINEL_BACKBONE, {_LOG_IN}"
    if isinstance(error, requests.ConnectionError | requests.Timeout):
        return (
            f"{name} is not kept on this machine and Kaggle does not answer ({said}): "
            f"check the network and its proxy, {_BY_HAND}"
        )
    return f"kaggle:{name} cannot be downloaded ({said}): check SENTINEL_BACKBONE and ~/.kaggle, try again, {_BY_HAND}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], Path(sys.argv[2])))
