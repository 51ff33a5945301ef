#!/bin/sh
# compile.sh - what a compiler does, alone: several files by make, two at a time; a library; the program runs
set -e
for part in one two three four; do
    printf '#include "parts.h"\nint %s(int n) { return n * %d; }\n' $part ${#part} >$part.c
    echo "int $part(int);"
done >parts.h
cat >main.c <<'END'
#include <stdio.h>
#include "parts.h"
int main(void)
{
    return printf("%d\n", one(two(three(four(10))))) < 0;
}
END
cat >Makefile <<'END'
program: main.o libparts.a
	$(CC) -o $@ main.o -L. -lparts
libparts.a: one.o two.o three.o four.o
	$(AR) rc $@ $^
%.o: %.c parts.h
	$(CC) -O2 -Wall -Werror -pipe -c -o $@ $<
END
make -s -j2 CC=gcc
./program
make CC=gcc
