#!/bin/sh
# The contract of the real images: a first argument that is itself a program runs as it is,
# anything else is given to the program the image is for.
program=$(which "$1" 2>/dev/null)
if [ -f "$program" ]; then
    case "$(head -c 4 "$program")" in
        '#!'* | ?ELF) exec "$@" ;;
    esac
fi
exec "$ACTION_EXEC" "$@"
