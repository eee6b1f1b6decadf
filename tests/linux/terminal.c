// What a terminal does with what is typed, in several modes; the one who types waits for each `>`.
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

static void show(const char *what)
{
    char bytes[256];
    printf("%s>", what);
    fflush(stdout);
    int count = read(0, bytes, sizeof bytes);
    printf("%d:", count);
    for (int i = 0; i < count; i++)
        printf(" %02x", bytes[i] & 0xff);
    printf("\n");
}

int main(void)
{
    struct termios before, modes;
    struct winsize size;
    printf("%d %d %d\n", isatty(0), isatty(1), tcgetattr(0, &before));
    ioctl(1, TIOCGWINSZ, &size);
    printf("%d by %d\n", size.ws_col, size.ws_row);
    printf("%x %x %x\n", before.c_iflag & (ICRNL | IXON), before.c_oflag, before.c_lflag);
    show("line");
    show("erase");
    show("words");
    show("kill");
    show("literal");
    show("end");
    show("end in a line");
    show("two lines");
    show("the second");
    modes = before;
    modes.c_lflag &= ~ECHO;
    tcsetattr(0, TCSAFLUSH, &modes);
    show("no echo");
    modes.c_lflag &= ~(ICANON | ISIG);
    modes.c_iflag &= ~ICRNL;
    modes.c_cc[VMIN] = 3;
    tcsetattr(0, TCSAFLUSH, &modes);
    show("three");
    modes.c_cc[VMIN] = 0;
    modes.c_cc[VTIME] = 1;
    tcsetattr(0, TCSANOW, &modes);
    char byte;
    printf("in time: %zd\n", read(0, &byte, 1));
    modes.c_cc[VTIME] = 0;
    tcsetattr(0, TCSANOW, &modes);
    printf("at once: %zd\n", read(0, &byte, 1));
    modes.c_oflag &= ~OPOST;
    tcsetattr(0, TCSANOW, &modes);
    printf("raw\nlines\r\n");
    fflush(stdout);
    tcsetattr(0, TCSAFLUSH, &before);
    show("resized");
    ioctl(1, TIOCGWINSZ, &size);
    printf("%d by %d\n", size.ws_col, size.ws_row);
    return 0;
}
