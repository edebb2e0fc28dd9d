# Completion of sluicectl for bash: the program itself says what may follow.
_sluicectl() {
  local current=${COMP_WORDS[COMP_CWORD]} line
  local words=("${COMP_WORDS[@]:1:COMP_CWORD}")
  # With bash-completion, words are not broken at ':' and '='.
  if declare -F _get_comp_words_by_ref >/dev/null; then
    local cword cur
    words=()
    _get_comp_words_by_ref -n := -w words -i cword -c cur
    current=$cur
    words=("${words[@]:1:cword}")
  fi
  COMPREPLY=()
  while IFS= read -r line; do
    if [[ $line == :files ]]; then
      compopt -o filenames 2>/dev/null
      while IFS= read -r line; do COMPREPLY+=("$line"); done \
        < <(compgen -f -- "$current")
      return
    fi
    COMPREPLY+=("$line")
  done < <("${COMP_WORDS[0]}" complete "${words[@]}" 2>/dev/null)
  if declare -F __ltrimcolon_completions >/dev/null; then
    __ltrimcolon_completions "$current"
  fi
}
complete -F _sluicectl sluicectl
