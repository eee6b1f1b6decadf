// SQLite: a hundred thousand rows in transactions, queries, an index, and its own check of the file.
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>

static sqlite3 *database;

static int print(void *unused, int columns, char **values, char **names)
{
    (void)unused, (void)names;
    for (int i = 0; i < columns; i++)
        printf("%s%s", i ? "|" : "", values[i] ? values[i] : "");
    printf("\n");
    return 0;
}

static void execute(const char *words)
{
    char *error = 0;
    if (sqlite3_exec(database, words, print, 0, &error) != SQLITE_OK) {
        printf("%s: %s\n", words, error);
        exit(1);
    }
}

int main(int argc, char **argv)
{
    int rows = argc > 2 ? atoi(argv[2]) : 100000;
    if (sqlite3_open(argv[1], &database) != SQLITE_OK)
        return 2;
    execute("create table t(number integer primary key, name text, value real)");
    sqlite3_stmt *insert;
    sqlite3_prepare_v2(database, "insert into t values(?, ?, ?)", -1, &insert, 0);
    for (int i = 0; i < rows; i++) {
        if (i % 10000 == 0)
            execute("begin");
        char name[32];
        int length = snprintf(name, sizeof name, "name %d", i * 7919 % rows);
        sqlite3_bind_int(insert, 1, i);
        sqlite3_bind_text(insert, 2, name, length, SQLITE_TRANSIENT);
        sqlite3_bind_double(insert, 3, i / 3.0);
        if (sqlite3_step(insert) != SQLITE_DONE)
            return 3;
        sqlite3_reset(insert);
        if (i % 10000 == 9999)
            execute("commit");
    }
    sqlite3_finalize(insert);
    execute("select count(*), sum(number), max(name), round(sum(value), 3) from t");
    execute("create index by_name on t(name)");
    execute("select number, name from t where name between 'name 123' and 'name 1233' order by name limit 5");
    execute("delete from t where number % 3 = 0");
    execute("begin; update t set name = 'gone'; rollback");
    execute("select count(*), count(distinct name) from t");
    execute("vacuum");
    execute("pragma integrity_check");
    sqlite3_close(database);
    return 0;
}
