// Says by which path its file is reached, and executes that once.
#include <stdio.h>
#include <unistd.h>

int main(int count, char **words)
{
    char path[200];
    ssize_t bytes = readlink("/proc/self/exe", path, sizeof path - 1);
    if (bytes < 0)
        return 1;
    path[bytes] = 0;
    printf("%s, called %s\n", path, words[0]);
    fflush(stdout);
    if (count > 1)
        return 0;
    execl(path, "again", "again", (char *)0);
    return 2;
}
