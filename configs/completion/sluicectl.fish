# Completion of sluicectl for fish: the program itself says what may follow.
function __sluicectl_complete
    set -l words (commandline -opc) (commandline -ct)
    set -l program $words[1]
    set -l candidates ($program complete $words[2..-1] 2>/dev/null)
    if test "$candidates[1]" = :files
        __fish_complete_path (commandline -ct)
    else
        printf '%s\n' $candidates
    end
end
complete -c sluicectl -f -a '(__sluicectl_complete)'
