# lint.sh - build.sh's command lint: the warnings of gcc and clang, analyzers, checkers, widths. Read by build.sh.
# shellcheck shell=sh disable=SC2154 # the variables are build.sh's

# The warnings of compiler $1 over the program, each part alone, and the test programs.
lint_warnings() {
    has "$1" || return 0
    CC=$1 toolchain "$(uname -m)"
    for source in sandlock.c serve/*.h policy/*.h sys/*.h tests/*.c tests/*/*.c; do
        "$1" -std=gnu11 $warnings $CFLAGS $includes $(flags_of "$source") -fsyntax-only -x c "$source" ||
            bad "$1:$source"
    done
}

# What the analyzers find that is none, and why it is none.
known_findings() {
    sed 's/ *# .*//' <<'END'
[Ll]eak                                 # what rules and options hold lives to exit; nothing is allocated for a call
null pointer .loaded from variable .text.       # the index of a rule comes from a set of rules that are there
left operand of .-. is a garbage value  # process_read gives > 0 only with what it wrote
left operand of .!=. is a garbage value # so does child_read_text, >= 0
null pointer .loaded from variable .search.     # the context comes back as it was given
Value stored to .file. is never read    # its cleanup reads it
points at uninitialized variable (message|room) # which the call itself fills
END
}

# Something isn't clean.
bad() {
    echo "$1" >>build/lint.failed
}

# Run the analyzer $1, as its command line says; its findings aren't clean.
analyze() {
    findings=$("$@" 2>&1 | grep -E '(warning|error):' | grep -vE "$(known_findings)") || return 0
    echo "$findings"
    bad "$1:analysis"
}

lint_gcc() {
    lint_warnings gcc
    if gcc -fanalyzer 2>&1 | grep -q 'no input files'; then
        CC=gcc toolchain "$(uname -m)"
        analyze gcc -std=gnu11 -O2 $includes -fanalyzer -fdiagnostics-plain-output -c sandlock.c -o build/analyzed.o
        rm -f build/analyzed.o
    fi
}

lint_clang() {
    has clang || return 0
    lint_warnings clang
    analyze clang -std=gnu11 $includes -Wno-unused-function --analyze --analyzer-output text -fno-caret-diagnostics \
        sandlock.c
}

lint() {
    rm -f build/lint.failed
    toolchain "$(uname -m)"
    lint_gcc & # takes as long as all the rest
    lint_clang
    if has cppcheck; then
        analyze cppcheck -q --std=c11 --enable=warning,performance,portability --inline-suppr --template=gcc \
            --suppress=missingIncludeSystem --suppress=normalCheckLevelMaxBranches sandlock.c
    fi
    if has shellcheck; then
        # Words are split on purpose, file names are our own; "done" is a word, the variables are run.sh's.
        shellcheck -S warning -e SC2038,SC2046 build.sh $(find tests -name '*.sh') .ci/run || bad shellcheck
        shellcheck -S warning -s dash -e SC1010,SC2010,SC2034,SC2038,SC2046,SC2154,SC2217 tests/*.test ||
            bad shellcheck:tests
    fi
    if has mandoc; then
        mandoc -Tlint -W warning sandlock.1 || bad mandoc
    fi
    if awk 'length > 120 && !/^\|/ { print FILENAME ":" FNR ": longer than 120 columns" }' README.md sandlock.1 \
        build.sh tests/lint.sh .ci/run sandlock.c serve/*.h policy/*.h sys/*.h tests/*.[ch] tests/*/*.[ch] |
        grep .; then
        bad columns
    fi
    wait $!
    [ ! -e build/lint.failed ] || fail "lint: $(tr '\n' ' ' <build/lint.failed)"
    echo 'lint: clean'
}
