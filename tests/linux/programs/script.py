# What a script does: numbers, text, classes, exceptions, files, threads, other processes.
import collections, functools, json, os, re, subprocess, sys, threading, zlib

@functools.lru_cache(None)
def fibonacci(n):
    return n if n < 2 else fibonacci(n - 1) + fibonacci(n - 2)

print(sys.version_info[:2], fibonacci(300), 2**400 % 10**30)
words = collections.Counter(re.findall(r"\w+", "the quick brown fox jumps over the lazy dog and the cat" * 50))
print(words.most_common(3), json.dumps({"a": [1, 2.5, None], "b": {"c": "\u00e9"}}, sort_keys=True))
with open("/tmp/exo-lines", "w") as file:
    file.writelines(f"{n} {n * n}\n" for n in range(20000))
with open("/tmp/exo-lines") as file:
    print(sum(int(line.split()[1]) for line in file), os.stat("/tmp/exo-lines").st_size)
os.remove("/tmp/exo-lines")
try:
    open("/nowhere/file")
except FileNotFoundError as error:
    print(error)
results, lock = [], threading.Lock()
def work(n):
    value = sum(i * i for i in range(n * 1000))
    with lock:
        results.append((n, value))
threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
for thread in threads: thread.start()
for thread in threads: thread.join()
print(sorted(results))
data = bytes(range(256)) * 400
print(zlib.crc32(data), zlib.decompress(zlib.compress(data)) == data)
child = subprocess.run([sys.executable, "-S", "-c", "import sys; print(sys.stdin.read()[::-1]); sys.exit(7)"], input="abc", text=True, capture_output=True)
print(child.returncode, child.stdout)
reader, writer = os.pipe()
if os.fork() == 0:
    os.write(writer, b"from the child")
    os._exit(0)
print(os.read(reader, 100), os.wait()[1])
