-- Loops that LuaJIT compiles: numbers, tables, strings, calls of C.
print(jit.status())
local sum = 0
for i = 1, 3000000 do sum = sum + (i % 7) * 0.5 end
print(sum)
local words = {}
for i = 1, 50000 do words[#words + 1] = ("%d:%s"):format(i, ("x"):rep(i % 5)) end
local text = table.concat(words, ",")
print(#text, (text:gsub("x", "yy")):len())
local function ackermann(m, n)
  if m == 0 then return n + 1 end
  if n == 0 then return ackermann(m - 1, 1) end
  return ackermann(m - 1, ackermann(m, n - 1))
end
print(ackermann(2, 300))
local ffi = require "ffi"
local values = ffi.new("double[?]", 100000)
for round = 1, 10 do for i = 0, 99999 do values[i] = values[i] + i * round end end
print(values[99999])
local trees = 0
local function tree(depth) trees = trees + 1 if depth > 0 then return { tree(depth - 1), tree(depth - 1) } end return {} end
for _ = 1, 10 do tree(12) end
print(trees)
