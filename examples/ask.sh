#!/bin/sh
# ask.sh - asks at a terminal what sandlock may permit: sandlock run --ask 'examples/ask.sh [TERMINAL]' -- CMD
#
# TERMINAL is /dev/tty, the command's own, unless another one is named: there the command can't imitate a question.
# Answers: y this call, n not this call, a always, v never; a bare return is no. Ctrl-C is for the command.
trap '' INT QUIT TTIN TTOU
tty=${1-/dev/tty}
exec 3<>"$tty" || exit 1

# field NAME: its value in $line, text or number, as JSON has it; what isn't plain text stays escaped.
field() {
    case $line in
    *"\"$1\":"*) ;;
    *) return ;;
    esac
    value=${line#*"\"$1\":"}
    case $value in
    '"'*)
        value=${value#'"'}
        value=${value%%'"'*}
        ;;
    *) value=${value%%[,\}]*} ;;
    esac
    printf %s "$value"
}

while IFS= read -r line; do
    port=$(field port) name=$(field name)
    printf '\n%s[%s]: %s %s %s%s%s? [y/n/a/v] ' "$(field command)" "$(field pid)" "$(field operation)" \
        "$(field protocol)" "$(field address)" "${port:+, port $port}" "${name:+ ($name)}" >&3
    answer=
    IFS= read -r answer <&3
    case $answer in
    y*) word=allow ;;
    a*) word=always ;;
    v*) word=never ;;
    *) word=deny ;;
    esac
    echo "$(field id) $word"
done
