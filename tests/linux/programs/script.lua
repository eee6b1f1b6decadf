-- Closures, coroutines, strings, tables, garbage, files and errors.
local function primes(limit)
  return coroutine.wrap(function()
    local sieve = {}
    for i = 2, limit do
      if not sieve[i] then
        coroutine.yield(i)
        for j = i * i, limit, i do sieve[j] = true end
      end
    end
  end)
end
local sum, count = 0, 0
for prime in primes(200000) do sum, count = sum + prime, count + 1 end
print(count, sum)

local words = {}
for word in ("the quick brown fox jumps over the lazy dog"):gmatch("%a+") do
  words[#words + 1] = word:upper():reverse()
end
table.sort(words)
print(table.concat(words, " "))

local garbage = {}
for i = 1, 300000 do garbage[i % 1000] = { tostring(i), i } end
collectgarbage()
print(#garbage, math.floor(collectgarbage("count")) < 4096)

local name = os.tmpname()
local file = assert(io.open(name, "w"))
for i = 1, 1000 do file:write(string.format("%d %08.3f\n", i, math.sin(i))) end
file:close()
local total = 0
for line in io.lines(name) do total = total + tonumber(line:match("^(%d+)")) end
print(total, os.remove(name))

local _, failure = pcall(function() error({ code = 42 }) end)
print(failure.code)
print(select("#", string.byte(("x"):rep(100), 1, -1)), 7 // 2, 7 % -3, 1 / 0, 2 ^ 53 | 0)
os.exit(count % 256)
