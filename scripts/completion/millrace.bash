# bash completion for millrace: commands, flags, and the names of topics as the broker knows them.
# Use:  source <(millrace completion bash)

_millrace_topics() {
  local broker="$1"
  if [[ -n $broker ]]; then
    millrace topic list -q --timeout 500ms --broker "$broker" 2>/dev/null
  else
    millrace topic list -q --timeout 500ms 2>/dev/null
  fi
}

_millrace() {
  local current="${COMP_WORDS[COMP_CWORD]}" previous="${COMP_WORDS[COMP_CWORD-1]}"
  local global_flags="--broker -o --output --timeout -q --quiet --help"
  local commands="topic produce consume tail replay log bench ping doctor completion"

  # The command, its subcommand, how many words stand behind them, and the broker that was named.
  local command="" subcommand="" positionals=0 broker="" i word
  for ((i = 1; i < COMP_CWORD; i++)); do
    word="${COMP_WORDS[i]}"
    case "$word" in
      --broker) broker="${COMP_WORDS[i+1]}"; ((i++)) ;;
      --raw|--create|--dry-run|--force|--events|--latency|--end|--quiet|--help|--version|--no-self-test|-q|-e|-h)
        # Only in the bench does --events take a value.
        [[ $word == --events && $command == bench ]] && ((i++)) ;;
      -*=*) ;;
      -*) ((i++)) ;;
      *)
        if [[ -z $command ]]; then command="$word"
        elif [[ -z $subcommand && $command =~ ^(topic|log|bench|completion)$ ]]; then subcommand="$word"
        else ((positionals++)); fi ;;
    esac
  done

  case "$previous" in
    -o|--output) COMPREPLY=($(compgen -W "table json" -- "$current")); return ;;
    --ack) COMPREPLY=($(compgen -W "durable received none" -- "$current")); return ;;
    --compression) COMPREPLY=($(compgen -W "none zstd lz4" -- "$current")); return ;;
    --speed) COMPREPLY=($(compgen -W "max 1x 10x" -- "$current")); return ;;
    --offset|--before) COMPREPLY=($(compgen -W "start end" -- "$current")); return ;;
    --to|--topic) COMPREPLY=($(compgen -W "$(_millrace_topics "$broker")" -- "$current")); return ;;
    --to-file|--data-dir) COMPREPLY=($(compgen -f -- "$current")); return ;;
    --broker|--timeout|--partition|--partitions|--set|--key|--key-separator|--key-field|--header|--batch-bytes|-c|--count|-f|--format|--events|--seconds|--event-bytes|--producers|--in-flight|--cut-before|--cut-from|--lose-events)
      # A flag with a value of its own; in `log dump`, --events has none.
      [[ $previous == --events && $command == log ]] || return ;;
  esac

  local flags="" words="" topics="" files=""
  case "$command $subcommand" in
    " ") words="$commands"; flags="--version" ;;
    "topic ") words="create list describe delete trim" ;;
    "topic create") flags="--partitions --set" ;;
    "topic list") ;;
    "topic describe"|"topic delete") topics=first ;;
    "topic trim") topics=first; flags="--before --partition" ;;
    "produce ") topics=first; files=rest
      flags="--key --key-separator --key-field --partition --header --ack --raw --create --partitions --compression --batch-bytes" ;;
    "consume ") topics=first; flags="--offset -c --count -e --end -f --format" ;;
    "tail ") topics=first; flags="-c --count -f --format" ;;
    "replay ") topics=first; flags="--offset --to --to-file --speed --dry-run --force --create -f --format" ;;
    "log ") words="verify dump describe repair" ;;
    "log verify"|"log describe") files=rest ;;
    "log dump") files=rest; flags="--events -f --format" ;;
    "log repair") files=rest; flags="--fence-missing --cut-before --cut-from --lose-events" ;;
    "bench ") words="produce consume latency" ;;
    "bench produce") flags="--topic --partitions --events --seconds --event-bytes --batch-bytes --compression --producers --in-flight --ack --latency" ;;
    "bench consume") flags="--topic --partitions --events --seconds --event-bytes --batch-bytes --compression --producers --in-flight" ;;
    "bench latency") flags="--topic --partitions --events --seconds --event-bytes --compression --ack" ;;
    "doctor ") flags="--data-dir --no-self-test" ;;
    "completion ") words="bash" ;;
  esac

  if [[ $current == -* ]]; then
    COMPREPLY=($(compgen -W "$flags $global_flags" -- "$current"))
  elif [[ -n $words ]]; then
    COMPREPLY=($(compgen -W "$words" -- "$current"))
  elif [[ $topics == first && $positionals -eq 0 ]]; then
    COMPREPLY=($(compgen -W "$(_millrace_topics "$broker")" -- "$current"))
  elif [[ -n $files ]]; then
    COMPREPLY=($(compgen -f -- "$current"))
  fi
}

complete -F _millrace millrace
