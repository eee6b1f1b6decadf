# A day's work of a shell and its tools, over the tree of files that it is started in.
set -e
echo "== tree"
find . -type f | sort | xargs sha256sum
find . -type d | sort
find d -name '*er' -size -2 | sort
echo "== text"
seq 1 2000 | sort -rn | sed -n '3,6p;s/^1999$/last but one/p'
seq 1 2000 | awk '{ sum += $1; if ($1 % 7 == 0) sevens++ } END { print sum, sevens }'
grep -c 1 numbers 2>/dev/null || echo "no numbers yet"
seq 1 500 > numbers
grep -c 1 numbers
grep -rn 'file' d | sort
tr a-z A-Z < d/file | rev
cut -c2-3 numbers | sort | uniq -c | sort -rn | head -n 3
echo "== redirections"
{ echo out; echo error >&2; } > both 2>&1
cat both
cat >> both <<END
here
END
wc -l < both
echo "== jobs"
(sleep 0.05; echo slow > slow) &
job=$!
echo started
wait $job
cat slow
for i in 1 2 3; do (exit $i) || echo "status $?"; done
yes | head -n 20000 | wc -l
sh -c 'kill -9 $$' || echo "killed: $?"
echo "== archives"
mkdir -p out
tar -cf out/all.tar d numbers both
gzip out/all.tar
gzip -t out/all.tar.gz && echo whole
mkdir out/again
gunzip -c out/all.tar.gz | tar -xf - -C out/again
(cd out/again && find . -type f | sort | xargs sha256sum)
cmp numbers out/again/numbers && echo same
head -c 100000 large | gzip -9 | gunzip | cmp - large || echo "shorter"
echo "== functions"
fibonacci() { if [ "$1" -lt 2 ]; then echo "$1"; else echo $(($(fibonacci $(($1 - 1))) + $(fibonacci $(($1 - 2))))); fi; }
fibonacci 5
ls -l d | tail -n +2 | awk '{ print $1, $5, $NF }'
rm -r out numbers both slow
ls
exit 3
