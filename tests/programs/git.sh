#!/bin/sh
# git.sh - what git does, alone: commits, branches, a merge, a local clone, a check of all objects
set -e
export GIT_AUTHOR_NAME=name GIT_AUTHOR_EMAIL=name@example GIT_AUTHOR_DATE='2026-01-01 00:00:00 +0000'
export GIT_COMMITTER_NAME=name GIT_COMMITTER_EMAIL=name@example GIT_COMMITTER_DATE='2026-01-01 00:00:00 +0000'
git init -q -b main first
cd first
for i in $(seq 50); do
    mkdir -p "dir$((i % 5))"
    seq "$i" 1000 >"dir$((i % 5))/file$i"
done
git add .
git commit -q -m 'fifty files'
git checkout -q -b other
echo other >other
git add other
git commit -q -m other
git checkout -q main
git rm -q dir0/file5
git commit -q -m 'one less'
git merge -q -m merged other
git gc -q
git fsck --strict
cd ..
git clone -q first second
git clone -q --no-local first third
cd third
git log --format='%H %s'
git status --short
git -C ../second rev-parse HEAD
