// Every call on names, attributes and contents of files, in the working directory, and what comes of it.
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <unistd.h>
#include <utime.h>

static void say(const char *what, long result)
{
    if (result < 0)
        printf("%s: %s\n", what, strerror(errno));
    else
        printf("%s: %ld\n", what, result);
}

static void show(const char *name)
{
    struct stat status;
    if (lstat(name, &status) < 0) {
        printf("%s: %s\n", name, strerror(errno));
        return;
    }
    printf("%s: mode %o links %ld user %d group %d", name, status.st_mode, (long)status.st_nlink, status.st_uid, status.st_gid);
    if (!S_ISDIR(status.st_mode))
        printf(" size %ld", (long)status.st_size);
    printf("\n");
}

static void text(const char *name)
{
    char bytes[64] = "";
    int file = open(name, O_RDONLY);
    if (file < 0) {
        printf("%s: %s\n", name, strerror(errno));
        return;
    }
    ssize_t length = read(file, bytes, sizeof bytes - 1);
    for (int i = 0; i < length; i++)
        if (bytes[i] < ' ')
            bytes[i] = '.';
    printf("%s says %.*s\n", name, (int)length, bytes);
    close(file);
}

static int by_name(const void *a, const void *b) { return strcmp(a, b); }

static void list(const char *name)
{
    static char names[300][64];
    int count = 0;
    DIR *directory = opendir(name);
    if (!directory) {
        printf("%s: %s\n", name, strerror(errno));
        return;
    }
    for (struct dirent *entry; count < 300 && (entry = readdir(directory));) {
        // What images have, and what a root file system has here.
        if (strstr(" lost+found dev proc tmp ", entry->d_name) && strlen(entry->d_name) > 2)
            continue;
        snprintf(names[count++], 64, "%s%c", entry->d_name, entry->d_type == DT_DIR ? '/' : entry->d_type == DT_LNK ? '@' : ' ');
    }
    closedir(directory);
    qsort(names, count, 64, by_name);
    printf("%s has %d:", name, count);
    for (int i = 0; i < count && i < 12; i++)
        printf(" %s", names[i]);
    printf("\n");
}

static void write_text(const char *name, int flags, const char *words)
{
    int file = open(name, O_WRONLY | O_CREAT | flags, 0644);
    say("open to write", file < 0 ? -1 : 0);
    say("write", write(file, words, strlen(words)));
    close(file);
}

static void names(void)
{
    say("mkdir", mkdir("made", 0700));
    say("mkdir again", mkdir("made", 0700));
    say("mkdir with slash", mkdir("made/below/", 0777));
    say("rmdir of one with names", rmdir("made"));
    say("rename of a directory into itself", rename("made", "made/below/it"));
    say("link", link("d/file", "made/hard"));
    say("link to a directory", link("d", "made/hard-directory"));
    show("made/hard");
    say("symlink", symlink("../d/file", "made/soft"));
    say("symlink of nothing", symlink("", "made/nothing"));
    text("made/soft");
    char target[64];
    say("readlink", readlink("made/soft", target, sizeof target));
    say("readlink, cut", readlink("made/soft", target, 4));
    say("readlink of a file", readlink("d/file", target, sizeof target));
    say("rename over a file", rename("made/hard", "empty"));
    show("empty");
    show("d/file");
    say("rename of one file to itself", rename("empty", "d/file"));
    say("rename of a file over a directory", rename("empty", "made"));
    say("rename of a directory over a file", rename("made", "empty"));
    say("rename with a slash", rename("empty", "new/"));
    say("renameat2, exists", renameat2(AT_FDCWD, "empty", AT_FDCWD, "d/file", RENAME_NOREPLACE));
    say("renameat2, exchange", renameat2(AT_FDCWD, "link", AT_FDCWD, "made/below", RENAME_EXCHANGE));
    show("link");
    show("made/below");
    say("renameat2, nonsense", renameat2(AT_FDCWD, "link", AT_FDCWD, "made", 64));
    say("unlink of a directory", unlink("link"));
    say("rmdir of a file", rmdir("empty"));
    say("rmdir", rmdir("link"));
    say("rmdir of .", rmdir("made/."));
    say("unlink", unlink("made/below"));
    say("unlink again", unlink("made/below"));
    say("unlink with slash", unlink("empty/"));
    say("open through a file", open("empty/x", O_RDONLY));
    say("a loop", symlink("loop", "loop"));
    say("open of a loop", open("loop", O_RDONLY));
    say("open of a link, not followed", open("loop", O_RDONLY | O_NOFOLLOW));
    char name[300];
    memset(name, 'x', sizeof name);
    name[299] = 0;
    say("a long name", open(name, O_RDONLY));
    list("made");
    list(".");
    say("rm", unlink("made/soft"));
    say("rm", rmdir("made"));
}

static void attributes(void)
{
    say("chmod", chmod("d/file", 04711));
    show("d/file");
    say("chmod of nothing", chmod("nothing", 0644));
    say("chown", chown("d/file", 12, 34));
    show("d/file");
    say("lchown", lchown("loop", 1, 2));
    show("loop");
    struct timespec times[2] = {{1000, 5}, {2000, 6}};
    struct stat status;
    say("utimensat", utimensat(AT_FDCWD, "d/file", times, 0));
    stat("d/file", &status);
    printf("%ld.%ld %ld.%ld\n", status.st_atim.tv_sec, status.st_atim.tv_nsec, status.st_mtim.tv_sec, status.st_mtim.tv_nsec);
    times[0].tv_nsec = UTIME_OMIT;
    times[1].tv_sec = 3000;
    say("utimensat, one", utimensat(AT_FDCWD, "d/file", times, 0));
    stat("d/file", &status);
    printf("%ld.%ld %ld.%ld\n", status.st_atim.tv_sec, status.st_atim.tv_nsec, status.st_mtim.tv_sec, status.st_mtim.tv_nsec);
    struct utimbuf two = {11, 22};
    say("utime", utime("d/file", &two));
    struct timeval micro[2] = {{33, 44}, {55, 66}};
    say("utimes", utimes("d/file", micro));
    struct statx more;
    say("statx", statx(AT_FDCWD, "d/file", 0, STATX_BASIC_STATS, &more));
    printf("%o %u %u %u %llu %lld.%u\n", more.stx_mode, more.stx_nlink, more.stx_uid, more.stx_gid, (unsigned long long)more.stx_size, (long long)more.stx_mtime.tv_sec, more.stx_mtime.tv_nsec);
    struct statfs system;
    say("statfs", statfs("d", &system));
    say("statfs of nothing", statfs("nothing", &system));
    say("access", access("d/file", R_OK | W_OK | X_OK));
    say("access to execute", access("d/other", X_OK));
    say("access, nonsense", access("d/file", 64));
    say("umask", umask(077));
    write_text("masked", 0, "x");
    show("masked");
    umask(022);
    int file = open("masked", O_RDWR);
    say("fchmod", fchmod(file, 0640));
    say("fchown", fchown(file, 7, -1));
    show("masked");
    close(file);
}

static void contents(void)
{
    text("d/other");
    write_text("d/other", O_APPEND, "+more");
    text("d/other");
    write_text("d/other", 0, "OVER");
    text("d/other");
    say("truncate", truncate("d/other", 6));
    text("d/other");
    say("truncate, longer", truncate("d/other", 9));
    text("d/other");
    say("truncate, far less than nothing", truncate("d/other", -1));
    write_text("d/other", O_TRUNC, "");
    text("d/other");
    say("exclusive", open("d/other", O_CREAT | O_EXCL | O_WRONLY, 0600));
    say("a directory to write", open("d", O_WRONLY));
    say("a file as directory", open("d/other", O_DIRECTORY));

    // A file of the root file system that is larger than a page, changed in the middle.
    int file = open("large", O_RDWR);
    unsigned char byte, page[8192];
    unsigned long sum = 0;
    say("pwrite", pwrite(file, "changed", 7, 5000));
    lseek(file, 0, SEEK_SET);
    for (ssize_t got; (got = read(file, page, sizeof page)) > 0;)
        for (ssize_t i = 0; i < got; i++)
            sum = sum * 31 + page[i];
    printf("sum %lx\n", sum);
    say("pread behind the end", pread(file, &byte, 1, 1 << 20));
    say("write far behind the end", pwrite(file, "end", 3, 1 << 20));
    say("pread of the hole", pread(file, &byte, 1, 500000));
    printf("%d\n", byte);
    say("fallocate", fallocate(file, 0, 0, (1 << 20) + 100));
    say("punch", fallocate(file, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 4999, 4));
    pread(file, page, 8, 4998);
    printf("%d %d %d\n", page[1], page[4], page[5]);
    say("ftruncate", ftruncate(file, 100));
    say("ftruncate", ftruncate(file, 6000));
    pread(file, page, 10, 4998);
    printf("%d %d\n", page[0], page[9]);
    say("flock", flock(file, LOCK_EX));
    say("fsync", fsync(file));
    say("lseek", lseek(file, -10, SEEK_END));
    say("lseek before the start", lseek(file, -10, SEEK_SET));
    show("large");

    // What is open stays, whatever becomes of its name.
    int other = open("gone", O_RDWR | O_CREAT, 0600);
    write(other, "still", 5);
    unlink("gone");
    say("read of what has no name", pread(other, page, 5, 0));
    struct stat status;
    fstat(other, &status);
    printf("links %ld\n", (long)status.st_nlink);
    close(other);
    close(file);
    other = open(".", O_TMPFILE | O_RDWR, 0600);
    say("O_TMPFILE", write(other, "x", 1));
    close(other);
}

static void many(void)
{
    mkdir("many", 0755);
    char name[32];
    for (int i = 0; i < 250; i++) {
        snprintf(name, sizeof name, "many/name-%d", i);
        close(open(name, O_CREAT | O_WRONLY, 0644));
    }
    list("many");
    // Names go while others are read.
    DIR *directory = opendir("many");
    int count = 0;
    for (struct dirent *entry; (entry = readdir(directory));)
        if (entry->d_name[0] != '.') {
            snprintf(name, sizeof name, "many/%s", entry->d_name);
            count += unlink(name) == 0;
        }
    closedir(directory);
    printf("%d taken away\n", count);
    say("rmdir", rmdir("many"));
    int place = open("d", O_RDONLY | O_DIRECTORY);
    say("openat", openat(place, "file", O_RDONLY) < 0 ? -1 : 0);
    say("mkdirat", mkdirat(place, "at", 0755));
    say("symlinkat", symlinkat("x", place, "s"));
    say("linkat", linkat(place, "file", place, "l", 0));
    say("renameat", renameat(place, "l", AT_FDCWD, "l"));
    say("unlinkat", unlinkat(place, "at", AT_REMOVEDIR));
    say("unlinkat", unlinkat(place, "s", 0));
    say("fstatat", faccessat(place, "file", F_OK, 0));
    say("fchdir", fchdir(place));
    list(".");
    list("..");
}

int main(void)
{
    names();
    attributes();
    contents();
    many();
    return 0;
}
