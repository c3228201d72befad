PS1= PS2= PROMPT_COMMAND=; set +H +m; unset HISTFILE
__freehold_run() { local __code __name __value; IFS= read -r -d '' __code <&3; while IFS= read -r -d '' __name <&3 && [ -n "$__name" ]; do IFS= read -r -d '' __value <&3; local -x "$__name=$__value"; done; eval "$__code" 3>&- </dev/null; }
__freehold_done() { local status=$?; [ "$status" = 0 ] || printf '{"error":["ExitStatus","exit status %d","exit status %d"]}\n' "$status" "$status" >&3; printf '{"done":true}\n' >&3; }
exec 2>&4 4>&-
