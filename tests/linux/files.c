// Files, directories, memory and arithmetic through the C library.
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static int compare(const void *a, const void *b) { return strcmp(a, b); }

int main(int argc, char **argv)
{
    char name[256], names[64][64];
    struct stat status;
    printf("%d arguments, the last is %s, HOME=%s\n", argc - 1, argv[argc - 1], getenv("HOME") ? getenv("HOME") : "none");
    mkdir("/tmp/exo-files", 0755);
    chdir("/tmp/exo-files");
    for (int i = 0; i < 20; i++) {
        snprintf(name, sizeof name, "file-%d", i);
        FILE *file = fopen(name, "w");
        for (int j = 0; j < i * 1000; j++)
            fprintf(file, "%d %.6f\n", j, sqrt(j));
        fclose(file);
    }
    unlink("file-3");
    rename("file-4", "renamed");
    symlink("renamed", "link");
    DIR *directory = opendir(".");
    int count = 0;
    for (struct dirent *entry; (entry = readdir(directory));)
        snprintf(names[count++], 64, "%s", entry->d_name);
    closedir(directory);
    qsort(names, count, 64, compare);
    for (int i = 0; i < count; i++) {
        stat(names[i], &status);
        printf("%s %s %lld\n", names[i], S_ISDIR(status.st_mode) ? "directory" : "file", S_ISDIR(status.st_mode) ? 0 : (long long)status.st_size);
    }
    int file = open("link", O_RDWR);
    pread(file, name, 16, 100);
    printf("%.16s; ", name);
    lseek(file, -8, SEEK_END);
    printf("%zd bytes at the end; ", read(file, name, sizeof name));
    printf("written %zd; ", write(file, "more", 4));
    ftruncate(file, 10);
    fstat(file, &status);
    printf("%lld left; %s\n", (long long)status.st_size, getcwd(name, sizeof name));
    errno = 0;
    int missing = open("missing/file", O_RDONLY);
    printf("%d %s; ", missing, strerror(errno));
    printf("%d %s; ", rmdir("/tmp/exo-files"), strerror(errno));
    printf("%zd %s; ", read(-1, name, 1), strerror(errno));
    printf("%zd %s\n", write(file, (void *)16, 1), strerror(errno));
    unsigned char *memory = mmap(0, 64 << 20, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    mprotect(memory + (32 << 20), 4 << 20, PROT_READ | PROT_WRITE);
    unsigned sum = 0;
    for (int i = 0; i < 4 << 20; i += 4096)
        sum += memory[(32 << 20) + i]++;
    for (int i = 0; i < 4 << 20; i += 4096)
        sum += memory[(32 << 20) + i];
    munmap(memory, 64 << 20);
    for (int round = 0; round < 3; round++) {
        char *block = malloc(3 << 20);
        for (int i = 0; i < 3 << 20; i += 4096)
            block[i] = round;
        char *zeroed = calloc(1, 1 << 20);
        for (int i = 0; i < 1 << 20; i++)
            sum += zeroed[i];
        free(block);
        free(zeroed);
    }
    printf("%u %.10f\n", sum, exp(1));
    chdir("/");
    return 42;
}
