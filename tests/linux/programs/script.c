// Lua: runs the script that is its argument.
#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>
#include <stdio.h>

int main(int argc, char **argv)
{
    (void)argc;
    lua_State *lua = luaL_newstate();
    luaL_openlibs(lua);
    if (luaL_dofile(lua, argv[1])) {
        fprintf(stderr, "%s\n", lua_tostring(lua, -1));
        return 1;
    }
    lua_close(lua);
    return 0;
}
