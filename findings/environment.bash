# Sourced by every finding: `environment NAME PACKAGE==VERSION ...` installs the pinned packages and sets PYTHON.
# Default: a new virtual environment in a temporary folder, removed at exit.
# FINDINGS_VENVS=FOLDER keeps the environments there, one per set of pins, so that scripts share an installation.
set -euo pipefail
export TF_CPP_MIN_LOG_LEVEL=3 TF_ENABLE_ONEDNN_OPTS=0 CUDA_VISIBLE_DEVICES="" KERAS_BACKEND=tensorflow

environment() {
    local folder pins
    pins=$(printf '%s_' "$@" | tr -d ' ' | sed 's/==/-/g; s/_$//')
    if [ -n "${FINDINGS_VENVS:-}" ]; then
        mkdir -p "$FINDINGS_VENVS"
        folder=$FINDINGS_VENVS/$pins
    else
        FINDINGS_TEMPORARY=$(mktemp -d)
        trap 'rm -rf "$FINDINGS_TEMPORARY"' EXIT
        folder=$FINDINGS_TEMPORARY/venv
    fi
    if [ ! -e "$folder/complete" ]; then
        "${FINDINGS_PYTHON:-python3}" -m venv --clear "$folder" || exit 3  # 3: could not be tried
        "$folder/bin/python" -m pip install -qq --disable-pip-version-check "$@" || exit 3
        touch "$folder/complete"
    fi
    PYTHON=$folder/bin/python
}
