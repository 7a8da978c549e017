#!/bin/sh
# Healthy: Redis took a heartbeat of this container's process within the last seconds (30, or the first argument).
# No interpreter is started: a process touches a file with each heartbeat (SENTINEL_HEARTBEAT_FILE).
set -eu
case ${1:-30} in
  *[!0-9]* | "") echo "the age has to be in seconds, not ${1}" && exit 2 ;;
esac
file=${SENTINEL_HEARTBEAT_FILE:-/tmp/sentinel.heartbeat}
if [ ! -e "$file" ]; then
  echo "no heartbeat yet: $file is not there"
  exit 1
fi
age=$(($(date +%s) - $(stat -c %Y "$file")))
if [ "$age" -gt "${1:-30}" ]; then
  echo "the last heartbeat was $age s ago"
  exit 1
fi
