/*
 * hostlet-shim: starts one payload, outlives whoever asked for it, and writes down how it ended.
 * README.md beside this file is the contract: invocation, records, log format, control protocol.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define SHIM_VERSION "1"

#ifndef TASKS /* where PID/task/TID/children is found; a test gives another place, for kernels with and without it */
#define TASKS "/proc"
#endif

enum {
    READ_BYTES = 64 * 1024,        /* a pipe's usual capacity */
    BATCH_BYTES = 64 * 1024,       /* log lines that go out in one write(2) */
    LINE_BYTES = 16 * 1024,        /* a longer line is cut */
    DRAIN_BYTES = 2 * 1024 * 1024, /* more than any pipe holds: what is left in one when the payload has ended */
    CONTROL_FD = 3,
    CONNS_MAX = 64 + 1, /* and the one on CONTROL_FD */
    CONN_IN_BYTES = 4096,
    CONN_OUT_BYTES = 1024 * 1024,
    CONN_HOLD_BYTES = 256 * 1024, /* of output: more is read once a client has taken some of it, */
    CONN_HOLD_MS = 1000,          /* or is dropped, as it took nothing for so long */
    KILL_WAIT_MS = 1000, /* how long the exit record waits for killed descendants to be gone */
    END_WAIT_MS = 10000, /* how long the shim stays after the exit record */
    SEARCH_MS = 500, /* how long a search for what is to be killed may keep the loop waiting */
    RETRY_MS = 1000,
    IDLE_MS = 1000, /* a silence after which big buffers go back to the kernel */
    NEWS_ID_BYTES = 24,
    REQUEST_BYTES = 8 * 1024 * 1024, /* several times what execve passes on */
    REQUESTS_BYTES = 64 * 1024,      /* read at once, where no request is larger */
    WINDOW_BYTES = 256 * 1024,       /* of each stream of an exec: what one side may send before the other has made room */
};

static struct {
    const char *dir, *exits, *id, *news, *cwd, *env_file, *pgid_file, *log_dir;
    int64_t log_max_bytes, log_max_files;
    bool with_stdin, tty, with_owner;
    uid_t uid;
    gid_t gid;
    char *file, **argv;
} opt = {.cwd = "/", .log_max_bytes = 10485760, .log_max_files = 5};

extern char **environ;
static mode_t callers_umask; /* the payload's */

/* ---- small things -------------------------------------------------------------------------------------------- */

static int64_t wall_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static int64_t mono_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

struct text {
    char s[1024];
    size_t n;
};

__attribute__((format(printf, 2, 0))) static void text_vadd(struct text *t, const char *format, va_list args)
{
    int n = vsnprintf(t->s + t->n, sizeof t->s - t->n, format, args);
    if (n > 0)
        t->n += (size_t)n < sizeof t->s - t->n ? (size_t)n : sizeof t->s - t->n - 1;
}

__attribute__((format(printf, 2, 3))) static void text_add(struct text *t, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    text_vadd(t, format, args);
    va_end(args);
}

/* Reads a small file whole; NUL-terminated. False: gone, or not ours to read. */
static bool read_small(const char *path, char *buffer, size_t size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    ssize_t n = read(fd, buffer, size - 1);
    close(fd);
    if (n <= 0)
        return false;
    buffer[n] = 0;
    return true;
}

/* Returns 0 or an errno. */
static int write_file(const char *path, mode_t mode, const struct text *t, bool sync)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);
    if (fd < 0)
        return errno;
    int err = 0;
    errno = EIO; /* a short write has no errno of its own */
    if (fchmod(fd, mode) < 0 || write(fd, t->s, t->n) != (ssize_t)t->n || (sync && fsync(fd) < 0))
        err = errno;
    if (close(fd) < 0 && !err)
        err = errno;
    if (err)
        unlink(path);
    return err;
}

static int replace_file(const char *temporary, const char *path, mode_t mode, const struct text *t, bool sync)
{
    int err = write_file(temporary, mode, t, sync);
    if (!err && rename(temporary, path) < 0) {
        err = errno;
        unlink(temporary);
    }
    return err;
}

/* ---- /proc ---------------------------------------------------------------------------------------------------- */

struct proc_stat {
    char state;
    int ppid, pgrp, session, threads;
    unsigned long long starttime;
};

static bool proc_stat(int pid, struct proc_stat *st)
{
    char path[64], line[1024];
    snprintf(path, sizeof path, "/proc/%d/stat", pid);
    if (!read_small(path, line, sizeof line))
        return false;
    char *rest = strrchr(line, ')'); /* the name before it may hold anything */
    return rest && sscanf(rest + 1,
                          " %c %d %d %d %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %d %*s %llu",
                          &st->state, &st->ppid, &st->pgrp, &st->session, &st->threads, &st->starttime) == 6;
}

/* A process whose first thread has ended is shown as a zombie while others run on. */
static bool is_dead(const struct proc_stat *st)
{
    return (st->state == 'Z' || st->state == 'X') && st->threads <= 1;
}

/* Which pids are in it is a bit each: calloc's pages are only there where a bit was set. */
struct pids {
    int *v;
    size_t n, size;
    uint8_t *bits;
};

enum { PID_MAX = 4 * 1024 * 1024 };

static bool pids_have(const struct pids *set, int pid)
{
    return set->bits && set->bits[pid / 8] & 1 << pid % 8;
}

static void pids_add(struct pids *set, int pid)
{
    if (pid >= PID_MAX || pids_have(set, pid))
        return;
    if (!set->bits && !(set->bits = calloc(PID_MAX / 8, 1)))
        return; /* out of memory: killing some is better than none */
    if (set->n == set->size) {
        size_t size = set->size ? set->size * 2 : 64;
        int *v = realloc(set->v, size * sizeof *v);
        if (!v)
            return;
        set->v = v;
        set->size = size;
    }
    set->bits[pid / 8] |= (uint8_t)(1 << pid % 8);
    set->v[set->n++] = pid;
}

static void pids_clear(struct pids *set)
{
    for (; set->n; set->n--)
        set->bits[set->v[set->n - 1] / 8] = 0;
}

static void pids_free(struct pids *set)
{
    free(set->v);
    free(set->bits);
}

/* What is to be killed is stopped the moment that it is found: a moment later it may have forked and be gone. */
static void stop_and_add(struct pids *set, int pid)
{
    if (pids_have(set, pid))
        return;
    kill(pid, SIGSTOP);
    pids_add(set, pid);
}

/* The next entry of a directory that is a number; 0 at the end. */
static int next_number(DIR *d)
{
    for (struct dirent *e; (e = readdir(d));) {
        int n = atoi(e->d_name);
        if (n > 0)
            return n;
    }
    return 0;
}

static void add_children(struct pids *set, int pid)
{
    char path[256], chunk[512];
    snprintf(path, sizeof path, TASKS "/%d/task", pid);
    DIR *tasks = opendir(path);
    if (!tasks)
        return;
    for (int tid; (tid = next_number(tasks));) {
        snprintf(path, sizeof path, TASKS "/%d/task/%d/children", pid, tid);
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd < 0)
            continue;
        int child = 0; /* a number may begin in one chunk and end in the next */
        for (ssize_t n; (n = read(fd, chunk, sizeof chunk)) > 0;)
            for (ssize_t i = 0; i < n; i++) {
                if (chunk[i] >= '0' && chunk[i] <= '9') {
                    child = child * 10 + (chunk[i] - '0');
                } else if (child) {
                    stop_and_add(set, child);
                    child = 0;
                }
            }
        close(fd);
    }
    closedir(tasks);
}

/* For kernels without CONFIG_PROC_CHILDREN. */
static void add_descendants_by_parent(struct pids *set)
{
    struct pids all = {0};
    int *parents = NULL;
    struct proc_stat st;
    DIR *proc = opendir("/proc");
    if (!proc)
        return;
    for (int pid; (pid = next_number(proc));)
        pids_add(&all, pid);
    closedir(proc);
    parents = calloc(all.n + 1, sizeof *parents);
    for (size_t i = 0; parents && i < all.n; i++)
        if (proc_stat(all.v[i], &st))
            parents[i] = st.ppid;
    for (size_t before = 0; parents && before != set->n;) {
        before = set->n;
        for (size_t i = 0; i < all.n; i++)
            if (parents[i] && pids_have(set, parents[i]))
                stop_and_add(set, all.v[i]);
    }
    free(parents);
    pids_free(&all);
}

/* The set holds roots, and then all that is below them, too. */
static void add_descendants(struct pids *set)
{
    char path[256];
    snprintf(path, sizeof path, TASKS "/%d/task/%d/children", getpid(), getpid());
    if (access(path, R_OK) < 0) {
        add_descendants_by_parent(set);
        return;
    }
    for (size_t i = 0; i < set->n; i++)
        add_children(set, set->v[i]);
}

/* The pid that was given to the newest process; 0 where unknown. */
static int newest_pid(void)
{
    char line[128];
    const char *last = read_small("/proc/loadavg", line, sizeof line) ? strrchr(line, ' ') : NULL;
    return last ? atoi(last) : 0;
}

/* What a tree is searched from: itself, or those for which `is_root` holds. */
struct search {
    void (*find)(struct pids *);
    bool (*is_root)(int pid, const struct proc_stat *);
};

/*
 * Looks at the pids given out since `from` alone, again and again until none is new: fast enough for processes that
 * fork and exit all the time, which a search through all would always miss.
 */
static void chase(struct pids *set, const struct search *search, int from, int64_t deadline)
{
    struct proc_stat st;
    int older = from;
    for (int quiet = 0; quiet < 3 && mono_ms() < deadline; quiet++) {
        int newest = newest_pid();
        /* `older` is one round back: a pid is given out a moment before its process can be seen. */
        for (int pid = older + 1; pid <= newest; pid++)
            if (!pids_have(set, pid) && proc_stat(pid, &st) && !is_dead(&st) &&
                (pids_have(set, st.ppid) || (search->is_root && search->is_root(pid, &st)))) {
                stop_and_add(set, pid);
                quiet = 0;
            }
        older = from;
        from = newest;
    }
}

/*
 * Kills what a search finds, and stops. What is stopped can't fork, so it looks again until none is new. A fork that was
 * under way in the last moment shows up when its parent is gone: call again then. Returns how many it killed.
 */
static size_t stop_and_kill(const struct search *search)
{
    struct pids known = {0}, found = {0};
    size_t before, n = 0;
    int64_t deadline = mono_ms() + SEARCH_MS;
    do {
        int newest = newest_pid();
        before = known.n;
        pids_clear(&found);
        search->find(&found);
        chase(&found, search, newest, deadline);
        for (size_t i = 0; i < found.n; i++)
            pids_add(&known, found.v[i]);
    } while (known.n > before && mono_ms() < deadline);
    for (size_t i = 0; i < found.n; i++)
        if (found.v[i] != getpid())
            n += kill(found.v[i], SIGKILL) == 0;
    pids_free(&known);
    pids_free(&found);
    return n;
}

/* ---- logs ----------------------------------------------------------------------------------------------------- */

static char *read_buffer, *batch; /* mmapped: only what is used costs memory, and idle() gives it back */
static bool buffers_used;

static struct {
    int fd, error; /* errno of the last failure */
    int64_t number, size;
    uint64_t lost; /* lines since the last one that was written */
    size_t batched;
    bool cut[3]; /* by stream: its last line in the log goes on */
    char time[40];
} logs = {.fd = -1};

static int log_open(void)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/%lld.log", opt.log_dir, (long long)logs.number);
    logs.fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (logs.fd < 0)
        return logs.error = errno;
    struct stat st;
    logs.size = fstat(logs.fd, &st) == 0 ? st.st_size : 0;
    snprintf(path, sizeof path, "%s/%lld.log", opt.log_dir, (long long)(logs.number - opt.log_max_files));
    unlink(path);
    return 0;
}

/* Writes whole lines; what can't be written is cut back to the last whole one. Returns the bytes that are in the file. */
static size_t log_write(const char *data, size_t n)
{
    size_t done = 0;
    if (logs.fd < 0 && log_open())
        return 0;
    while (done < n) {
        ssize_t written = write(logs.fd, data + done, n - done);
        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0) {
            logs.error = errno;
            const char *end = memrchr(data, '\n', done);
            done = end ? (size_t)(end + 1 - data) : 0;
            if (ftruncate(logs.fd, logs.size + (int64_t)done) < 0)
                logs.error = errno;
            break;
        }
        done += (size_t)written;
    }
    logs.size += (int64_t)done;
    return done;
}

static bool log_report_lost(void)
{
    struct text t = {0};
    text_add(&t, "%s stderr F hostlet: %llu lines of output were lost, the log could not be written: %s\n", logs.time,
             (unsigned long long)logs.lost, strerror(logs.error));
    if (log_write(t.s, t.n) != t.n)
        return false;
    logs.lost = 0;
    return true;
}

static void log_flush(void)
{
    size_t done = 0;
    if (!logs.batched)
        return;
    if (!logs.lost || log_report_lost())
        done = log_write(batch, logs.batched);
    for (size_t i = done; i < logs.batched; i++)
        logs.lost += batch[i] == '\n';
    logs.batched = 0;
}

/* The next file begins between two lines; only a line that goes on and on is cut over two files. */
static bool log_is_full(void)
{
    int64_t size = logs.size + (int64_t)logs.batched;
    if (!opt.log_max_bytes || size < opt.log_max_bytes)
        return false;
    return (!logs.cut[1] && !logs.cut[2]) || size / 2 >= opt.log_max_bytes;
}

static void log_line(int stream, bool whole, const char *head, size_t head_n, const char *tail, size_t tail_n)
{
    if (logs.batched + sizeof logs.time + 16 + head_n + tail_n > BATCH_BYTES)
        log_flush();
    char *at = batch + logs.batched;
    at = stpcpy(at, logs.time);
    at = stpcpy(at, stream == 1 ? " stdout " : " stderr ");
    at = stpcpy(at, whole ? "F " : "P ");
    at = mempcpy(at, head, head_n);
    at = mempcpy(at, tail, tail_n);
    *at++ = '\n';
    logs.batched = (size_t)(at - batch);
    logs.cut[stream] = !whole;
    if (log_is_full()) {
        log_flush();
        if (logs.fd >= 0 && log_is_full()) {
            close(logs.fd);
            logs.number++;
            logs.size = 0;
            log_open();
        }
    }
}

static void log_set_time(void)
{
    int64_t ns = wall_ns();
    time_t s = (time_t)(ns / 1000000000);
    struct tm tm;
    gmtime_r(&s, &tm);
    size_t n = strftime(logs.time, sizeof logs.time, "%Y-%m-%dT%H:%M:%S", &tm);
    snprintf(logs.time + n, sizeof logs.time - n, ".%09dZ", (int)(ns % 1000000000));
}

/* ---- the payload's side: its state, its streams ------------------------------------------------------------------ */

static struct {
    int pid; /* 0: none was forked, or it is reaped: a stranger may have the number by now */
    unsigned long long starttime;
    int64_t started_ns, finished_ns, ended_ms;
    bool started, ended, children_left, killing;
    const char *kind; /* exited, signaled, error */
    int code;
    const char *step; /* of an error: start, cwd, exec */
    char message[512];
    int go_fd, exec_fd, slave_fd, stdin_fd;
} payload = {.go_fd = -1, .exec_fd = -1, .slave_fd = -1, .stdin_fd = -1};

static struct stream {
    int fd;
    size_t held; /* bytes of a line whose end has not come */
    char line[LINE_BYTES];
} streams[3] = {{.fd = -1}, {.fd = -1}, {.fd = -1}}; /* [1] stdout, [2] stderr */

static void close_fd(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

static void stream_log(int id, const char *data, size_t n)
{
    struct stream *s = &streams[id];
    if (!opt.log_dir)
        return;
    log_set_time();
    while (n) {
        const char *end = memchr(data, '\n', n);
        size_t length = end ? (size_t)(end - data) : n;
        while (s->held + length > LINE_BYTES) {
            size_t take = LINE_BYTES - s->held;
            log_line(id, false, s->line, s->held, data, take);
            s->held = 0;
            data += take;
            n -= take;
            length -= take;
        }
        if (!end) {
            memcpy(s->line + s->held, data, length);
            s->held += length;
            break;
        }
        log_line(id, true, s->line, s->held, data, length);
        s->held = 0;
        data += length + 1;
        n -= length + 1;
    }
    log_flush();
}

/* What has no newline yet goes into the log as it is. */
static void stream_log_held(int id)
{
    struct stream *s = &streams[id];
    if (!s->held)
        return;
    log_set_time();
    log_line(id, false, s->line, s->held, "", 0);
    s->held = 0;
    log_flush();
}

static void conns_frame(int stream, const char *data, size_t n);

/* One read. Returns the bytes; 0 where none are there now, or ever (then the fd is closed). */
static size_t stream_read(int id)
{
    struct stream *s = &streams[id];
    ssize_t n = read(s->fd, read_buffer, READ_BYTES);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return 0;
    if (n <= 0) { /* a terminal says EIO */
        stream_log_held(id);
        close_fd(&s->fd);
        return 0;
    }
    buffers_used = true;
    stream_log(id, read_buffer, (size_t)n);
    conns_frame(id, read_buffer, (size_t)n);
    return (size_t)n;
}

static void stdin_close(void)
{
    if (opt.tty && payload.stdin_fd >= 0 && write(payload.stdin_fd, "\004", 1) == 1)
        return; /* a terminal has no end of file but this; it stays open */
    close_fd(&payload.stdin_fd);
}

/* Returns the bytes taken: fewer than n when the payload doesn't read. */
static size_t stdin_write(const char *data, size_t n)
{
    if (payload.stdin_fd < 0)
        return n;
    ssize_t written = write(payload.stdin_fd, data, n);
    if (written >= 0)
        return (size_t)written;
    if (errno == EAGAIN || errno == EINTR)
        return 0;
    close_fd(&payload.stdin_fd);
    return n;
}

static void reap(void);

static void find_descendants(struct pids *set)
{
    reap(); /* zombies would only slow the search down */
    pids_add(set, getpid());
    add_descendants(set);
}

static void kill_descendants(void)
{
    static const struct search all = {find_descendants, NULL};
    payload.killing = true;
    stop_and_kill(&all);
}

/* ---- control connections ------------------------------------------------------------------------------------------ */

struct conn {
    int fd;
    bool at_end; /* it says nothing more; it may still listen */
    bool shut;   /* it is told nothing more; it may still write */
    const char *news; /* a socket of many shims: each line begins with this, and nothing is read from it */
    bool attached, stdin_blocked, in_frame;
    uint8_t frame;
    uint32_t frame_left;
    char *out;
    size_t out_from, out_to, out_size;
    int64_t taken_ms; /* when it last took something of what waits for it */
    char *request; /* of an exec, as far as it has come */
    size_t request_n, request_size;
    size_t in_n;
    char in[CONN_IN_BYTES];
};

static struct conn *conns[CONNS_MAX];
static size_t conns_n;
static int listen_fd = -1;

static void conn_drop(struct conn *c)
{
    close_fd(&c->fd);
    c->out_from = c->out_to; /* nobody is left who waits for it */
}

static void conn_flush(struct conn *c)
{
    while (c->fd >= 0 && c->out_from < c->out_to) {
        ssize_t n = write(c->fd, c->out + c->out_from, c->out_to - c->out_from);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN)
            return;
        if (n < 0) {
            conn_drop(c);
            return;
        }
        c->out_from += (size_t)n;
        c->taken_ms = mono_ms();
    }
    free(c->out);
    c->out = NULL;
    c->out_from = c->out_to = c->out_size = 0;
}

/* Nothing more is said. The client's end is waited for: who writes to nobody loses what it has not read itself. */
static void conn_shut(struct conn *c)
{
    if (!c->shut && c->out_from == c->out_to)
        c->shut = shutdown(c->fd, SHUT_WR) == 0;
}

static void conn_put(struct conn *c, const char *data, size_t n)
{
    size_t waiting = c->out_to - c->out_from;
    if (c->fd < 0)
        return;
    if (!waiting)
        c->taken_ms = mono_ms();
    if (waiting + n > CONN_OUT_BYTES) {
        conn_drop(c);
        return;
    }
    if (c->out_to + n > c->out_size) {
        if (c->out)
            memmove(c->out, c->out + c->out_from, waiting);
        c->out_from = 0;
        c->out_to = waiting;
        if (waiting + n > c->out_size / 2) {
            size_t size = (waiting + n) * 2;
            char *out = realloc(c->out, size);
            if (!out) {
                conn_drop(c);
                return;
            }
            c->out = out;
            c->out_size = size;
        }
    }
    memcpy(c->out + c->out_to, data, n);
    c->out_to += n;
}

__attribute__((format(printf, 2, 3))) static void conn_say(struct conn *c, const char *format, ...)
{
    struct text line = {0};
    va_list args;
    if (c->news)
        text_add(&line, "%s ", c->news);
    va_start(args, format);
    text_vadd(&line, format, args);
    va_end(args);
    conn_put(c, line.s, line.n);
    conn_flush(c); /* a line of a few bytes goes into a unix socket whole, or not at all: those of many shims don't mix */
}

static void conn_frame(struct conn *c, int type, const char *data, size_t n)
{
    char head[5] = {(char)type, (char)(n >> 24), (char)(n >> 16), (char)(n >> 8), (char)n};
    conn_put(c, head, sizeof head);
    conn_put(c, data, n);
    conn_flush(c);
}

static void conns_frame(int stream, const char *data, size_t n)
{
    for (size_t i = 0; i < conns_n; i++)
        if (conns[i]->attached)
            conn_frame(conns[i], stream, data, n);
}

static void conn_say_state(struct conn *c, bool recorded)
{
    char line[64];
    int n = 0;
    if (recorded)
        n = snprintf(line, sizeof line, "exited %s %d\n", payload.kind, payload.code);
    else if (payload.started && !payload.ended)
        n = snprintf(line, sizeof line, "started %d %llu\n", payload.pid, payload.starttime);
    if (!n)
        return;
    if (c->attached)
        conn_frame(c, 3, line, (size_t)n);
    else
        conn_say(c, "%s", line);
}

static void conns_say_state(bool recorded)
{
    for (size_t i = 0; i < conns_n; i++)
        conn_say_state(conns[i], recorded);
}

static void conn_add(int fd, const char *news, bool recorded)
{
    struct conn *c = conns_n < CONNS_MAX ? calloc(1, sizeof *c) : NULL;
    if (!c) {
        close(fd);
        return;
    }
    c->fd = fd;
    c->news = news;
    fcntl(fd, F_SETFL, O_NONBLOCK);
    conns[conns_n++] = c;
    conn_say_state(c, recorded);
}

static void conns_sweep(void)
{
    size_t kept = 0;
    for (size_t i = 0; i < conns_n; i++) {
        if (conns[i]->fd >= 0) {
            conns[kept++] = conns[i];
        } else {
            free(conns[i]->out);
            free(conns[i]->request);
            free(conns[i]);
        }
    }
    conns_n = kept;
}

/* A shim of its own for one more command in this container; the connection is its fd 3. Returns 0 or an errno. */
static int spawn_exec(int fd, char **argv)
{
    volatile int err = 0;
    int pid = vfork();
    if (pid == 0) { /* in this process's memory until it executes */
        umask(callers_umask);
        dup2(fd, CONTROL_FD);
        execve("/proc/self/exe", argv, environ);
        err = errno;
        _exit(127);
    }
    if (pid < 0)
        return errno;
    payload.children_left = true;
    return err;
}

/* The whole request of an exec is there: arguments, each with a NUL behind it. The connection is the new shim's from here on. */
static void conn_exec(struct conn *c)
{
    size_t n = 0, at = 0;
    for (size_t i = 0; i < c->request_size; i++)
        n += !c->request[i];
    char **argv = calloc(n + 3, sizeof *argv);
    int err = argv ? EINVAL : ENOMEM;
    if (argv && !c->request[c->request_size - 1]) {
        argv[at++] = "hostlet-shim";
        argv[at++] = "exec";
        for (char *arg = c->request; arg < c->request + c->request_size; arg += strlen(arg) + 1)
            argv[at++] = arg;
        err = payload.pid && payload.started ? spawn_exec(c->fd, argv) : ESRCH;
    }
    free(argv);
    if (err)
        conn_say(c, "err %d\n", err);
    conn_drop(c);
}

static void conn_command(struct conn *c, const char *line)
{
    int number;
    char rest;
    if (sscanf(line, "signal %d%c", &number, &rest) == 1) {
        if (!payload.pid)
            conn_say(c, "err %d\n", ESRCH);
        else if (kill(payload.pid, number) < 0)
            conn_say(c, "err %d\n", errno);
        else
            conn_say(c, "ok\n");
    } else if (!strcmp(line, "kill")) {
        kill_descendants();
        conn_say(c, "ok\n");
    } else if (!strcmp(line, "attach") || !strcmp(line, "attach stdin")) {
        if (line[6] && payload.stdin_fd < 0) {
            conn_say(c, "err %d\n", EPIPE);
            return;
        }
        conn_say(c, "ok\n");
        c->attached = true;
    } else if (sscanf(line, "exec %d%c", &number, &rest) == 1 && number > 0 && number <= REQUEST_BYTES) {
        if ((c->request = malloc((size_t)number)))
            c->request_size = (size_t)number;
        else
            conn_say(c, "err %d\n", ENOMEM);
    } else if (!strcmp(line, "ping")) {
        conn_say(c, "ok\n");
    } else {
        conn_say(c, "err %d\n", EINVAL);
    }
}

static void conn_take(struct conn *c, size_t n)
{
    memmove(c->in, c->in + n, c->in_n - n);
    c->in_n -= n;
}

/* Each of these takes one step through what was received; false: more has to come first. */
static bool conn_step_line(struct conn *c)
{
    char *end = memchr(c->in, '\n', c->in_n);
    if (!end) {
        if (c->in_n == sizeof c->in)
            conn_drop(c);
        return false;
    }
    *end = 0;
    conn_command(c, c->in);
    conn_take(c, (size_t)(end + 1 - c->in));
    return true;
}

static bool conn_step_resize(struct conn *c)
{
    char text[32];
    if (c->frame_left >= sizeof text) {
        conn_drop(c);
        return false;
    }
    if (c->in_n < c->frame_left)
        return false;
    memcpy(text, c->in, c->frame_left);
    text[c->frame_left] = 0;
    struct winsize size = {0};
    if (opt.tty && sscanf(text, "%hu %hu", &size.ws_row, &size.ws_col) == 2)
        ioctl(payload.stdin_fd, TIOCSWINSZ, &size);
    conn_take(c, c->frame_left);
    c->in_frame = false;
    return true;
}

static bool conn_step_frame(struct conn *c)
{
    if (!c->in_frame) {
        if (c->in_n < 5)
            return false;
        const uint8_t *head = (const uint8_t *)c->in;
        c->frame = head[0];
        c->frame_left = (uint32_t)head[1] << 24 | (uint32_t)head[2] << 16 | (uint32_t)head[3] << 8 | head[4];
        c->in_frame = true;
        conn_take(c, 5);
        if (c->frame == 0 && c->frame_left == 0)
            stdin_close();
    }
    if (c->frame == 4)
        return conn_step_resize(c);
    size_t n = c->in_n < c->frame_left ? c->in_n : c->frame_left;
    size_t taken = c->frame == 0 && n ? stdin_write(c->in, n) : n;
    conn_take(c, taken);
    c->frame_left -= (uint32_t)taken;
    c->stdin_blocked = taken < n;
    c->in_frame = c->frame_left > 0;
    return !c->in_frame;
}

static bool conn_step_request(struct conn *c)
{
    size_t wanted = c->request_size - c->request_n, n = c->in_n < wanted ? c->in_n : wanted;
    memcpy(c->request + c->request_n, c->in, n);
    c->request_n += n;
    conn_take(c, n);
    if (c->request_n == c->request_size)
        conn_exec(c);
    return false;
}

static void conn_parse(struct conn *c)
{
    while (c->fd >= 0 && (c->request ? conn_step_request(c) : c->attached ? conn_step_frame(c) : conn_step_line(c)))
        continue;
}

static void conn_read(struct conn *c)
{
    ssize_t n = read(c->fd, c->in + c->in_n, sizeof c->in - c->in_n);
    if (n < 0 && errno != EAGAIN && errno != EINTR)
        conn_drop(c);
    if (n == 0)
        c->at_end = true;
    if (n > 0) {
        c->in_n += (size_t)n;
        conn_parse(c);
    }
}

/* Returns 0 or an errno. */
static int listen_on_sock(void)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = "sock"};
    unlink(address.sun_path);
    listen_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (listen_fd < 0 || bind(listen_fd, (struct sockaddr *)&address, sizeof address) < 0 ||
        chmod(address.sun_path, 0600) < 0 || listen(listen_fd, CONNS_MAX) < 0)
        return errno;
    return 0;
}

/* ---- claim, start, end ---------------------------------------------------------------------------------------------- */

/* Returns 0 (won), EEXIST (lost) or another errno. */
static int claim(void)
{
    struct text t = {0};
    struct proc_stat self;
    struct utsname host;
    char bootid[64] = "", pidns[64] = "", name[32];
    if (!proc_stat(getpid(), &self))
        return ENOENT;
    read_small("/proc/sys/kernel/random/boot_id", bootid, sizeof bootid);
    if (readlink("/proc/self/ns/pid", pidns, sizeof pidns - 1) < 0)
        pidns[0] = 0;
    uname(&host);
    text_add(&t, "v=1\nby=shim\npid=%d\nstarttime=%llu\nbootid=%.*s\npidns=%.*s\nhost=%s\nclaimed=%lld\n", getpid(),
             self.starttime, (int)strcspn(bootid, "\n"), bootid, (int)strspn(pidns + strcspn(pidns, "0123456789"), "0123456789"),
             pidns + strcspn(pidns, "0123456789"), host.nodename, (long long)wall_ns());
    snprintf(name, sizeof name, "claim.%d", getpid());
    int err = write_file(name, 0600, &t, false);
    if (err)
        return err;
    if (link(name, "claim") < 0) {
        err = errno;
        struct stat st; /* NFS may report a failure for a link that it made */
        if (stat(name, &st) == 0 && st.st_nlink == 2)
            err = 0;
    }
    unlink(name);
    return err;
}

static void set_error(const char *step, int err, const char *what)
{
    payload.kind = "error";
    payload.step = step;
    payload.code = err;
    snprintf(payload.message, sizeof payload.message, "%.400s: %s", what, strerror(err));
    for (char *p = payload.message; *p; p++)
        if ((unsigned char)*p < ' ')
            *p = '?';
}

static void set_ended(void)
{
    payload.pid = 0;
    payload.ended = true;
    payload.finished_ns = wall_ns();
    payload.ended_ms = mono_ms();
}

struct child_error {
    int err;
    bool cwd;
};

/* In the forked child: what lies between fork and execve. Never returns. */
static _Noreturn void run_payload(const int fds[3], int go_fd, int error_fd, mode_t mask)
{
    struct child_error e = {0};
    char go;
    sigset_t none;
    setsid();
    for (int n = 1; n < NSIG; n++)
        signal(n, SIG_DFL);
    for (int i = 0; i < 3; i++)
        dup2(fds[i], i);
    if (opt.tty)
        ioctl(0, TIOCSCTTY, 0);
    close_fd(&payload.go_fd); /* else this child would keep itself waiting */
    if (read(go_fd, &go, 1) != 1)
        _exit(127);
    umask(mask);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    if (chdir(opt.cwd) < 0)
        e.cwd = true;
    else
        execve(opt.file, opt.argv, environ);
    e.err = errno;
    if (write(error_fd, &e, sizeof e) < 0)
        _exit(126);
    _exit(127);
}

/* Fills the payload's ends in fds, and keeps the shim's. Returns 0 or an errno. */
static int open_streams(int fds[3])
{
    int ends[2];
    if (opt.tty) {
        char name[64];
        int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
        streams[1].fd = master;
        if (master < 0 || grantpt(master) < 0 || unlockpt(master) < 0 || ptsname_r(master, name, sizeof name) != 0 ||
            (payload.slave_fd = open(name, O_RDWR | O_NOCTTY | O_CLOEXEC)) < 0 ||
            (payload.stdin_fd = fcntl(master, F_DUPFD_CLOEXEC, CONTROL_FD + 1)) < 0)
            return errno;
        fds[0] = fds[1] = fds[2] = payload.slave_fd;
    } else {
        for (int i = 1; i < 3; i++) {
            if (pipe2(ends, O_CLOEXEC) < 0)
                return errno;
            streams[i].fd = ends[0];
            fds[i] = ends[1];
        }
        if (opt.with_stdin) {
            if (pipe2(ends, O_CLOEXEC) < 0)
                return errno;
            fds[0] = ends[0];
            payload.stdin_fd = ends[1];
        } else if ((fds[0] = open("/dev/null", O_RDONLY | O_CLOEXEC)) < 0) {
            return errno;
        }
    }
    /* The shim's ends alone: a terminal's two ends, and a pipe's, have their own flags. */
    for (int i = 1; i < 3; i++)
        if (streams[i].fd >= 0)
            fcntl(streams[i].fd, F_SETFL, O_NONBLOCK);
    if (payload.stdin_fd >= 0)
        fcntl(payload.stdin_fd, F_SETFL, O_NONBLOCK);
    for (int i = opt.with_stdin || opt.tty ? 0 : 1; opt.with_owner && i < 3; i++)
        if (fchown(fds[i], opt.uid, opt.gid) < 0)
            return errno;
    return 0;
}

static int write_start_records(void)
{
    struct text t = {0};
    struct proc_stat st;
    char temporary[4096];
    if (!proc_stat(payload.pid, &st))
        return ESRCH;
    payload.starttime = st.starttime;
    payload.started_ns = wall_ns();
    text_add(&t, "v=1\npid=%d\nstarttime=%llu\nstarted=%lld\n", payload.pid, st.starttime, (long long)payload.started_ns);
    int err = replace_file("payload.tmp", "payload", 0600, &t, false);
    if (err || !opt.pgid_file)
        return err;
    t.n = 0;
    text_add(&t, "%d\n", payload.pid);
    snprintf(temporary, sizeof temporary, "%s.tmp", opt.pgid_file);
    return replace_file(temporary, opt.pgid_file, 0644, &t, false);
}

/* Forks the payload, which waits for let_go(). Where that fails, the error is set. */
static void fork_payload(void)
{
    int fds[3] = {-1, -1, -1}, go[2] = {-1, -1}, result[2] = {-1, -1};
    int err = open_streams(fds);
    if (!err && (pipe2(go, O_CLOEXEC) < 0 || pipe2(result, O_CLOEXEC | O_NONBLOCK) < 0))
        err = errno;
    payload.go_fd = go[1];
    payload.exec_fd = result[0];
    if (err) {
        set_error("start", err, opt.tty ? "terminal" : "pipe");
        return;
    }
    payload.pid = fork();
    if (payload.pid < 0) {
        set_error("start", errno, "fork");
        payload.pid = 0;
        return;
    }
    if (payload.pid == 0)
        run_payload(fds, go[0], result[1], callers_umask);
    payload.children_left = true;
    close(go[0]);
    close(result[1]);
    for (int i = 0; i < 3; i++)
        if (fds[i] != payload.slave_fd)
            close(fds[i]);
}

static void let_go(void)
{
    if (write(payload.go_fd, "g", 1) != 1)
        set_error("start", errno, "start");
}

/* Starts the payload. Where that fails, the error is set, and main's loop ends all as it ends a payload that ran. */
static void start_payload(void)
{
    int err = listen_on_sock();
    if (err) {
        set_error("start", err, "listen on sock");
        return;
    }
    if (opt.log_dir && ((mkdir(opt.log_dir, 0700) < 0 && errno != EEXIST) || log_open())) {
        set_error("start", errno, opt.log_dir);
        return;
    }
    fork_payload();
    if (!payload.pid)
        return;
    err = write_start_records();
    if (err)
        set_error("start", err, "start record");
    else
        let_go();
    close_fd(&payload.go_fd);
}

/* The pipe that execve closes has ended, or holds what went wrong. */
static void take_exec_result(void)
{
    struct child_error e;
    ssize_t n = read(payload.exec_fd, &e, sizeof e);
    if (n < 0)
        return;
    close_fd(&payload.exec_fd);
    if (n == sizeof e) {
        set_error(e.cwd ? "cwd" : "exec", e.err, e.cwd ? opt.cwd : opt.file);
    } else if (!payload.kind) {
        payload.started = true;
        conns_say_state(false);
        int null = open("/dev/null", O_RDWR | O_CLOEXEC); /* the agent's own streams must be able to end */
        for (int i = 0; null >= 0 && i < 3; i++)
            dup2(null, i);
        close_fd(&null);
    }
}

static void reap(void)
{
    int status, pid;
    while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
        if (pid != payload.pid)
            continue;
        if (payload.exec_fd >= 0)
            take_exec_result();
        if (!payload.kind) {
            payload.kind = WIFSIGNALED(status) ? "signaled" : "exited";
            payload.code = WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status);
        }
        set_ended();
        payload.killing = true;
        close_fd(&payload.stdin_fd);
        close_fd(&payload.slave_fd);
    }
    payload.children_left = !(pid < 0 && errno == ECHILD);
}

static void drain_streams(void)
{
    for (int id = 1; id < 3; id++) {
        size_t total = 0;
        for (size_t n = 1; n && streams[id].fd >= 0 && total < DRAIN_BYTES; total += n)
            n = stream_read(id);
        stream_log_held(id);
    }
}

static bool managed; /* by a service manager, which made a cgroup for this process */

/* Reads "KEY N" from a file of this process's cgroup; 0 where there is none. */
static long cgroup_count(const char *root, const char *cgroup, const char *file, const char *key)
{
    char path[4096], line[256];
    long count = 0;
    snprintf(path, sizeof path, "%s%s/%s", root, cgroup, file);
    FILE *f = fopen(path, "re");
    while (f && fgets(line, sizeof line, f))
        if (!strncmp(line, key, strlen(key)) && line[strlen(key)] == ' ')
            count = atol(line + strlen(key) + 1);
    if (f)
        fclose(f);
    return count;
}

/* How often the kernel killed for want of memory in this process's cgroup, which a service manager gave it for itself alone. */
static long oom_kills(void)
{
    char line[4096];
    long count = 0;
    FILE *f = fopen("/proc/self/cgroup", "re");
    while (f && fgets(line, sizeof line, f)) {
        char *controllers = strchr(line, ':'), *path = controllers ? strchr(controllers + 1, ':') : NULL;
        if (!path)
            continue;
        line[strcspn(line, "\n")] = 0;
        *path++ = 0;
        if (!controllers[1])
            count += cgroup_count("/sys/fs/cgroup", path, "memory.events", "oom_kill");
        else if (!strcmp(controllers + 1, "memory"))
            count += cgroup_count("/sys/fs/cgroup/memory", path, "memory.oom_control", "oom_kill");
    }
    if (f)
        fclose(f);
    return count;
}

/* Returns 0 or an errno. */
static int write_exit_record(void)
{
    struct text t = {0};
    char path[4096];
    bool error = !strcmp(payload.kind, "error");
    text_add(&t, "v=1\nkind=%s\ncode=%d\n", payload.kind, payload.code);
    if (!error)
        text_add(&t, "started=%lld\n", (long long)payload.started_ns);
    text_add(&t, "finished=%lld\n", (long long)payload.finished_ns);
    if (error)
        text_add(&t, "step=%s\nmessage=%s\n", payload.step, payload.message);
    if (managed && !strcmp(payload.kind, "signaled") && payload.code == SIGKILL && oom_kills() > 0)
        text_add(&t, "reason=OOMKilled\n");
    snprintf(path, sizeof path, "%s/%s", opt.exits, opt.id);
    return replace_file("exit.tmp", path, 0600, &t, true);
}

/* ---- the loop -------------------------------------------------------------------------------------------------------- */

static bool all_is_said(void)
{
    for (size_t i = 0; i < conns_n; i++) {
        struct conn *c = conns[i];
        if (c->out_from < c->out_to)
            return false;
        if (c->attached && c->fd >= 0 && !c->at_end) {
            conn_shut(c);
            return false;
        }
    }
    return !payload.children_left && streams[1].fd < 0 && streams[2].fd < 0;
}

/* A socket of many shims may be full for a while. */
static bool news_wait(void)
{
    for (size_t i = 0; i < conns_n; i++)
        if (conns[i]->news && conns[i]->out_from < conns[i]->out_to)
            return true;
    return false;
}

static int64_t min_positive(int64_t a, int64_t b)
{
    if (b < 0)
        b = 0;
    return a < 0 || b < a ? b : a;
}

/* A burst is given to every client whole, so its writer waits a moment; for one who stopped reading it does not. */
static bool conns_hold(int64_t now, int64_t *timeout)
{
    bool hold = false;
    for (size_t i = 0; i < conns_n; i++) {
        struct conn *c = conns[i];
        int64_t left = c->taken_ms + CONN_HOLD_MS - now;
        if (!c->attached || c->fd < 0 || c->out_to - c->out_from < CONN_HOLD_BYTES)
            continue;
        if (left <= 0) {
            conn_drop(c);
            continue;
        }
        hold = true;
        *timeout = min_positive(*timeout, left);
    }
    return hold;
}

static void accept_all(bool recorded)
{
    for (int fd; (fd = accept4(listen_fd, NULL, NULL, SOCK_CLOEXEC)) >= 0;)
        conn_add(fd, NULL, recorded);
}

static void take_signals(int fd)
{
    struct signalfd_siginfo info;
    while (read(fd, &info, sizeof info) > 0)
        continue;
}

static void poll_once(int signal_fd, bool recorded, int64_t timeout)
{
    enum { SIGNALS, LISTEN, EXEC, STDIN, STDOUT, STDERR, FIXED };
    struct pollfd p[FIXED + CONNS_MAX];
    size_t n = conns_n;
    bool blocked = false, hold = conns_hold(mono_ms(), &timeout);
    for (size_t i = 0; i < n; i++) {
        struct conn *c = conns[i];
        bool reads = !c->news && !c->at_end && !c->stdin_blocked && c->in_n < sizeof c->in;
        blocked |= c->stdin_blocked;
        p[FIXED + i] = (struct pollfd){
            c->fd, (short)((reads ? POLLIN : 0) | (c->out_from < c->out_to ? POLLOUT : 0)), 0};
    }
    p[SIGNALS] = (struct pollfd){signal_fd, POLLIN, 0};
    p[LISTEN] = (struct pollfd){listen_fd, POLLIN, 0};
    p[EXEC] = (struct pollfd){payload.exec_fd, POLLIN, 0};
    p[STDIN] = (struct pollfd){payload.stdin_fd, blocked ? POLLOUT : 0, 0};
    p[STDOUT] = (struct pollfd){hold ? -1 : streams[1].fd, POLLIN, 0};
    p[STDERR] = (struct pollfd){hold ? -1 : streams[2].fd, POLLIN, 0};
    int ready = poll(p, FIXED + n, (int)timeout);
    if (ready == 0 && buffers_used) {
        madvise(read_buffer, READ_BYTES, MADV_DONTNEED);
        madvise(batch, BATCH_BYTES, MADV_DONTNEED);
        buffers_used = false;
    }
    if (ready <= 0)
        return;
    if (p[EXEC].revents)
        take_exec_result();
    for (int id = 1; id < 3; id++)
        if (p[STDIN + id].revents && streams[id].fd >= 0)
            stream_read(id);
    if (p[STDIN].revents & (POLLERR | POLLHUP))
        close_fd(&payload.stdin_fd);
    for (size_t i = 0; i < n; i++) {
        struct conn *c = conns[i];
        short events = p[FIXED + i].revents;
        if (events & POLLOUT)
            conn_flush(c);
        if (c->fd >= 0 && (events & POLLIN))
            conn_read(c);
        else if (events & (POLLERR | POLLHUP))
            conn_drop(c);
        if (c->stdin_blocked && (p[STDIN].revents || payload.stdin_fd < 0))
            conn_parse(c);
    }
    if (p[LISTEN].revents)
        accept_all(recorded);
    if (p[SIGNALS].revents) {
        take_signals(signal_fd);
        reap();
        if (payload.killing && payload.children_left)
            kill_descendants();
    }
    conns_sweep();
}

/* Returns the shim's exit code. */
static int serve(int signal_fd)
{
    bool drained = false;
    int64_t recorded_ms = -1, try_ms = 0;
    for (;;) {
        int64_t now = mono_ms(), timeout = buffers_used ? IDLE_MS : -1;
        if (payload.ended && recorded_ms < 0) {
            if (payload.children_left && now < payload.ended_ms + KILL_WAIT_MS) {
                timeout = min_positive(timeout, payload.ended_ms + KILL_WAIT_MS - now);
            } else if (now < try_ms) {
                timeout = min_positive(timeout, try_ms - now);
            } else {
                if (!drained)
                    drain_streams();
                drained = true;
                int err = write_exit_record();
                if (err == ENOENT || err == ENOTDIR)
                    return 1; /* the agent's state was removed: nobody is left to tell */
                if (!err) {
                    recorded_ms = now;
                    conns_say_state(true);
                }
                try_ms = now + RETRY_MS;
                continue;
            }
        }
        if (recorded_ms >= 0) {
            int64_t left = recorded_ms + END_WAIT_MS - now;
            if (all_is_said() || (left <= 0 && !news_wait()))
                return 0;
            if (left > 0)
                timeout = min_positive(timeout, left);
        }
        poll_once(signal_fd, recorded_ms >= 0, timeout);
    }
}

/* ---- exec: one more command in a container ------------------------------------------------------------------------------ */

/* Who asked for it. Always read, so that room, resizing and the end of the connection are never stuck behind stdin. */
static struct conn client = {.fd = CONTROL_FD};
static uint32_t room[3]; /* how many bytes of stdout and stderr it still takes */

static struct {
    uint8_t *in, *held; /* frames that were received; stdin that the command has not read yet */
    size_t in_n, from, to, granted;
    bool close; /* once what is held is written */
} input;

static void client_grant(size_t n)
{
    char text[32];
    input.granted += n;
    if (client.shut || (input.granted < WINDOW_BYTES / 4 && input.from < input.to))
        return;
    conn_frame(&client, 5, text, (size_t)snprintf(text, sizeof text, "0 %zu", input.granted));
    input.granted = 0;
}

static void input_flush(void)
{
    size_t before = input.from;
    while (input.from < input.to) {
        size_t n = stdin_write((char *)input.held + input.from, input.to - input.from);
        if (!n)
            break;
        input.from += n;
    }
    size_t done = input.from - before;
    if (input.from == input.to)
        input.from = input.to = 0;
    if (done)
        client_grant(done);
    if (input.close && input.from == input.to) {
        input.close = false;
        stdin_close();
    }
}

/* Takes one frame of the client's, whole. False: that is none. */
static bool client_frame(int type, const uint8_t *data, size_t n)
{
    char text[32];
    unsigned stream, bytes;
    struct winsize size = {0};
    if (type == 0 && n == 0) {
        input.close = true;
        return true;
    }
    if (type == 0) {
        if (input.to - input.from + n > WINDOW_BYTES)
            return false;
        if (input.to + n > WINDOW_BYTES) {
            memmove(input.held, input.held + input.from, input.to - input.from);
            input.to -= input.from;
            input.from = 0;
        }
        memcpy(input.held + input.to, data, n);
        input.to += n;
        return true;
    }
    if (n >= sizeof text)
        return false;
    memcpy(text, data, n);
    text[n] = 0;
    if (type == 4 && sscanf(text, "%hu %hu", &size.ws_row, &size.ws_col) == 2) {
        if (opt.tty)
            ioctl(payload.stdin_fd, TIOCSWINSZ, &size);
        return true;
    }
    if (type != 5 || sscanf(text, "%u %u", &stream, &bytes) != 2 || stream < 1 || stream > 2 ||
        bytes > WINDOW_BYTES - room[stream])
        return false;
    room[stream] += bytes;
    return true;
}

static void client_read(void)
{
    size_t at = 0;
    ssize_t n = read(client.fd, input.in + input.in_n, REQUESTS_BYTES - input.in_n);
    if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
        conn_drop(&client);
    if (n <= 0)
        return;
    input.in_n += (size_t)n;
    while (client.fd >= 0 && input.in_n - at >= 5) {
        const uint8_t *head = input.in + at;
        size_t length = (size_t)head[1] << 24 | (size_t)head[2] << 16 | (size_t)head[3] << 8 | head[4];
        if (length > REQUESTS_BYTES - 5) {
            conn_drop(&client);
            return;
        }
        if (input.in_n - at < 5 + length)
            break;
        if (!client_frame(head[0], head + 5, length))
            conn_drop(&client);
        at += 5 + length;
    }
    input.in_n -= at;
    memmove(input.in, input.in + at, input.in_n);
    input_flush();
}

static bool exec_sends(int id)
{
    /* Of output at most a frame of each stream waits here. */
    return client.fd >= 0 && client.out_from == client.out_to && room[id] && streams[id].fd >= 0;
}

/* `at_end`: nobody is left who writes, whatever still holds the pipe. */
static void exec_output(int id, bool at_end)
{
    struct stream *s = &streams[id];
    ssize_t n = read(s->fd, read_buffer, room[id] < READ_BYTES ? room[id] : READ_BYTES);
    if (n < 0 && (errno == EINTR || (errno == EAGAIN && !at_end)))
        return;
    if (n <= 0) { /* a terminal says EIO */
        close_fd(&s->fd);
        n = 0;
    }
    room[id] -= (uint32_t)n;
    conn_frame(&client, id, read_buffer, (size_t)n);
}

static void exec_poll(int signal_fd, bool at_end, int64_t timeout)
{
    enum { SIGNALS, EXEC, CLIENT, STDIN, STDOUT, STDERR, ALL };
    struct pollfd p[ALL] = {
        {signal_fd, POLLIN, 0},
        {payload.exec_fd, POLLIN, 0},
        {client.fd, (short)(POLLIN | (client.out_from < client.out_to ? POLLOUT : 0)), 0},
        {payload.stdin_fd, input.from < input.to ? POLLOUT : 0, 0},
    };
    for (int id = 1; id < 3; id++) {
        p[STDIN + id] = (struct pollfd){exec_sends(id) ? streams[id].fd : -1, POLLIN, 0};
        if (at_end && exec_sends(id))
            timeout = 0;
    }
    if (poll(p, ALL, (int)timeout) < 0)
        return;
    if (p[EXEC].revents)
        take_exec_result();
    if (p[CLIENT].revents & POLLOUT)
        conn_flush(&client);
    if (client.fd >= 0 && p[CLIENT].revents & (POLLIN | POLLHUP | POLLERR))
        client_read();
    if (p[STDIN].revents & (POLLERR | POLLHUP))
        close_fd(&payload.stdin_fd);
    if (p[STDIN].revents)
        input_flush();
    for (int id = 1; id < 3; id++)
        if (p[STDIN + id].fd >= 0 && (p[STDIN + id].revents || at_end) && client.fd >= 0)
            exec_output(id, at_end);
    if (p[SIGNALS].revents) {
        take_signals(signal_fd);
        reap();
        if (payload.killing && payload.children_left)
            kill_descendants();
    }
}

static void exec_say_end(void)
{
    struct text t = {0};
    text_add(&t, "exited %s %d", payload.kind, payload.code);
    if (payload.step)
        text_add(&t, " %s %s", payload.step, payload.message);
    conn_frame(&client, 3, t.s, t.n);
}

/* Until the command has ended, and all of its tree, and the client has all of its output. */
static void exec_serve(int signal_fd)
{
    bool said = false;
    int64_t gone_ms = -1;
    for (;;) {
        int64_t now = mono_ms(), timeout = -1;
        if (client.fd < 0) { /* whoever asked for it is gone: so is the command */
            if (gone_ms < 0) {
                gone_ms = now;
                kill_descendants();
                reap();
            }
            if (!payload.children_left || now >= gone_ms + END_WAIT_MS)
                return;
            timeout = gone_ms + END_WAIT_MS - now;
        } else if (payload.ended) {
            bool waits = payload.children_left && now < payload.ended_ms + KILL_WAIT_MS;
            if (waits) {
                timeout = payload.ended_ms + KILL_WAIT_MS - now;
            } else if (!said) {
                exec_say_end();
                said = true;
            }
            if (said && streams[1].fd < 0 && streams[2].fd < 0)
                conn_shut(&client);
        }
        exec_poll(signal_fd, said, timeout);
    }
}

/* ---- commands ---------------------------------------------------------------------------------------------------------- */

static _Noreturn void die(int code, const char *what, int err)
{
    dprintf(2, "hostlet-shim: %s%s%s\n", what, err ? ": " : "", err ? strerror(err) : "");
    exit(code);
}

static int64_t parse_number(const char *s, int64_t min)
{
    char *end;
    errno = 0;
    long long n = strtoll(s, &end, 10);
    if (errno || end == s || *end || n < min)
        die(2, "an option is not a number, or too small", 0);
    return n;
}

static void parse_options(int argc, char **argv)
{
    static const struct option options[] = {
        {"dir", required_argument, NULL, 'd'},           {"exits", required_argument, NULL, 'e'},
        {"id", required_argument, NULL, 'i'},            {"news", required_argument, NULL, 'n'},
        {"cwd", required_argument, NULL, 'c'},           {"pgid-file", required_argument, NULL, 'p'},
        {"log-dir", required_argument, NULL, 'l'},       {"log-max-bytes", required_argument, NULL, 'b'},
        {"log-max-files", required_argument, NULL, 'f'}, {"stdin", no_argument, NULL, 's'},
        {"tty", no_argument, NULL, 't'},                 {"owner", required_argument, NULL, 'o'},
        {"env-file", required_argument, NULL, 'v'},      {0},
    };
    for (int o; (o = getopt_long(argc, argv, "+", options, NULL)) != -1;) {
        char *colon;
        switch (o) {
        case 'd': opt.dir = optarg; break;
        case 'e': opt.exits = optarg; break;
        case 'i': opt.id = optarg; break;
        case 'n': opt.news = optarg; break;
        case 'c': opt.cwd = optarg; break;
        case 'v': opt.env_file = optarg; break;
        case 'p': opt.pgid_file = optarg; break;
        case 'l': opt.log_dir = optarg; break;
        case 'b': opt.log_max_bytes = parse_number(optarg, 0); break;
        case 'f': opt.log_max_files = parse_number(optarg, 1); break;
        case 's': opt.with_stdin = true; break;
        case 't': opt.tty = true; break;
        case 'o':
            colon = strchr(optarg, ':');
            if (!colon)
                die(2, "--owner is not UID:GID", 0);
            *colon = 0;
            opt.with_owner = true;
            opt.uid = (uid_t)parse_number(optarg, 0);
            opt.gid = (gid_t)parse_number(colon + 1, 0);
            break;
        default: exit(2);
        }
    }
    if (argc - optind < 2)
        die(2, "usage: hostlet-shim run|exec [options] -- FILE ARGV0 [ARG ...]", 0);
    opt.file = argv[optind];
    opt.argv = argv + optind + 1;
}

static void check_run_options(void)
{
    if (!opt.dir || !opt.exits || !opt.id)
        die(2, "usage: hostlet-shim run --dir D --exits E --id ID [options] -- FILE ARGV0 [ARG ...]", 0);
    if (!*opt.id || *opt.id == '.' ||
        opt.id[strspn(opt.id, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-")])
        die(2, "--id has a character that is not of A-Z a-z 0-9 . _ -, or begins with a dot", 0);
}

/* 0, 1, 2 open; 3 where it is a socket; nothing else. Returns whether there is a socket. */
static bool settle_descriptors(void)
{
    struct stat st;
    int fd;
    while ((fd = open("/dev/null", O_RDWR)) >= 0 && fd < CONTROL_FD)
        continue;
    if (fd >= 0)
        close(fd);
    bool control = fstat(CONTROL_FD, &st) == 0 && S_ISSOCK(st.st_mode);
    if (control)
        fcntl(CONTROL_FD, F_SETFD, FD_CLOEXEC);
    DIR *d = opendir("/proc/self/fd");
    if (!d)
        die(1, "/proc/self/fd", errno);
    while ((fd = next_number(d)))
        if (fd != dirfd(d) && fd >= CONTROL_FD && !(fd == CONTROL_FD && control))
            close(fd);
    closedir(d);
    return control;
}

/* Leaves the caller's session, is deaf to signals but SIGCHLD. Returns the descriptor that tells of that. */
static int settle_signals(void)
{
    static const int ignored[] = {SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGPIPE, SIGUSR1, SIGUSR2, SIGALRM,
                                  SIGTSTP, SIGTTIN, SIGTTOU, SIGXFSZ};
    sigset_t chld;
    setsid(); /* fails where it is the leader already */
    for (size_t i = 0; i < sizeof ignored / sizeof *ignored; i++)
        signal(ignored[i], SIG_IGN);
    signal(SIGCHLD, SIG_DFL);
    sigemptyset(&chld);
    sigaddset(&chld, SIGCHLD);
    sigprocmask(SIG_SETMASK, &chld, NULL);
    int fd = signalfd(-1, &chld, SFD_NONBLOCK | SFD_CLOEXEC);
    if (fd < 0)
        die(1, "signalfd", errno);
    return fd;
}

/* Returns the descriptor that tells of SIGCHLD; `control` says whether there is a socket at CONTROL_FD. */
static int settle(bool *control)
{
    prctl(PR_SET_NAME, "hostlet-shim"); /* it may have been executed as /proc/self/exe */
    *control = settle_descriptors();
    callers_umask = umask(077);
    if (prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) < 0)
        die(1, "becoming a subreaper", errno);
    return settle_signals();
}

static void *map_buffer(size_t n)
{
    void *buffer = mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (buffer == MAP_FAILED)
        die(1, "memory", errno);
    return buffer;
}

static int exec_command(int argc, char **argv)
{
    bool control;
    parse_options(argc, argv);
    int signal_fd = settle(&control);
    if (!control)
        die(2, "descriptor 3 is not a socket", 0);
    fcntl(CONTROL_FD, F_SETFL, O_NONBLOCK);
    read_buffer = map_buffer(READ_BYTES);
    input.in = map_buffer(REQUESTS_BYTES);
    input.held = map_buffer(WINDOW_BYTES);
    room[1] = room[2] = WINDOW_BYTES;
    conn_say(&client, "ok\n");
    fork_payload();
    if (payload.pid)
        let_go();
    else
        set_ended();
    close_fd(&payload.go_fd);
    exec_serve(signal_fd);
    return 0;
}

/* Tells a service manager that asked to be told (systemd's Type=notify) that the start is decided and the socket is there. */
static void notify_manager(const char *to)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t length = strlen(to);
    if (length >= sizeof address.sun_path)
        return;
    memcpy(address.sun_path, to, length);
    if (*to == '@')
        address.sun_path[0] = 0; /* an abstract name */
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return;
    sendto(fd, "READY=1", 7, MSG_NOSIGNAL, (struct sockaddr *)&address,
           offsetof(struct sockaddr_un, sun_path) + length);
    close(fd);
}

/* The whole environment is what the file has, `NAME=value` each with a NUL behind it; the file goes as soon as it is read. */
static void take_environment(void)
{
    struct stat st;
    int fd = open(opt.env_file, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0 || fstat(fd, &st) < 0)
        die(1, opt.env_file, errno);
    char *bytes = malloc(st.st_size + 1), *end = bytes;
    for (ssize_t n; bytes && end < bytes + st.st_size; end += n)
        if ((n = read(fd, end, bytes + st.st_size - end)) <= 0)
            break;
    close(fd);
    size_t count = 0;
    for (char *at = bytes; bytes && at < end; at++)
        count += !*at;
    environ = calloc(count + 1, sizeof *environ);
    if (!bytes || !environ)
        die(1, "memory", errno);
    for (char **to = environ; count--; bytes += strlen(bytes) + 1)
        *to++ = bytes;
    unlink(opt.env_file);
}

static int run(int argc, char **argv)
{
    bool control;
    parse_options(argc, argv);
    check_run_options();
    int signal_fd = settle(&control);
    read_buffer = map_buffer(READ_BYTES);
    batch = map_buffer(BATCH_BYTES);
    if (chdir(opt.dir) < 0)
        die(1, opt.dir, errno);
    const char *manager = opt.env_file ? getenv("NOTIFY_SOCKET") : NULL;
    managed = manager;
    if (opt.env_file)
        take_environment();
    if (control)
        conn_add(CONTROL_FD, opt.news, false);
    int err = claim();
    if (err == EEXIST) {
        if (conns_n)
            conn_say(conns[0], "lost\n");
        return 3;
    }
    if (err)
        die(1, "claim", err);
    start_payload();
    if (manager)
        notify_manager(manager);
    if (!payload.pid) {
        set_ended();
        close_fd(&streams[1].fd);
        close_fd(&streams[2].fd);
    }
    int code = serve(signal_fd);
    unlink("sock");
    return code;
}

/* ---- the spawner ------------------------------------------------------------------------------------------------------- */

static struct spawned {
    int pid;
    char id[NEWS_ID_BYTES];
} *spawned;
static size_t spawned_n, spawned_size;

/* Returns 0 or an errno: then nothing was started. */
static int spawn_shim(const char *id, char **argv, char **env)
{
    volatile int err = 0;
    if (spawned_n == spawned_size) {
        size_t size = spawned_size ? spawned_size * 2 : 64;
        struct spawned *larger = realloc(spawned, size * sizeof *larger);
        if (!larger)
            return ENOMEM;
        spawned = larger;
        spawned_size = size;
    }
    int pid = vfork();
    if (pid == 0) { /* in this process's memory until it executes */
        fcntl(CONTROL_FD, F_SETFD, 0);
        execve("/proc/self/exe", argv, env);
        err = errno;
        _exit(127);
    }
    if (pid < 0 || err)
        return err ? err : errno;
    spawned[spawned_n].pid = pid;
    strcpy(spawned[spawned_n++].id, id);
    return 0;
}

/* Takes a request apart: id, number of arguments, arguments, environment, each with a NUL behind it. */
static void take_request(struct conn *agent, char *self, char *request, size_t n)
{
    size_t fields = 0, args = 0, at = 0;
    for (size_t i = 0; i < n; i++)
        fields += !request[i];
    char *id = request, *number = id + strnlen(id, n) + 1;
    if (fields < 2 || request[n - 1] || !*id || number - id > NEWS_ID_BYTES || id[strspn(id, "0123456789")] ||
        (args = (size_t)parse_number(number, 0)) > fields - 2)
        die(2, "a request can't be understood", 0);
    char **vector = calloc(fields + 4, sizeof *vector); /* of arguments, and of the environment */
    if (!vector) {
        conn_say(agent, "%s failed %d\n", id, ENOMEM);
        return;
    }
    vector[at++] = self;
    vector[at++] = "run";
    vector[at++] = "--news";
    vector[at++] = id;
    char **env = vector + at + args + 1;
    for (char *field = number + strlen(number) + 1; field < request + n; field += strlen(field) + 1) {
        at += args-- == 0; /* the NULL between the two */
        vector[at++] = field;
    }
    int err = spawn_shim(id, vector, env);
    free(vector);
    if (err)
        conn_say(agent, "%s failed %d\n", id, err);
}

static void reap_shims(struct conn *agent)
{
    int status, pid;
    while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
        for (size_t i = 0; i < spawned_n; i++)
            if (spawned[i].pid == pid) {
                conn_say(agent, "%s gone %d\n", spawned[i].id,
                         WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status));
                spawned[i] = spawned[--spawned_n];
                break;
            }
}

static struct {
    uint8_t *s;
    size_t n, size;
} requests;

/* The bytes of the request that begins here, its length included; 4 where that has not come. */
static size_t request_size(const uint8_t *head, size_t n)
{
    if (n < 4)
        return 4;
    size_t length = (size_t)head[0] << 24 | (size_t)head[1] << 16 | (size_t)head[2] << 8 | head[3];
    if (!length || length > REQUEST_BYTES)
        die(2, "a request of no length, or too long", 0);
    return 4 + length;
}

/* Starts what the agent asks for. False: it is gone. */
static bool read_requests(struct conn *agent, char *self)
{
    size_t size = request_size(requests.s, requests.n), at = 0;
    if (size < REQUESTS_BYTES)
        size = REQUESTS_BYTES;
    if (size > requests.size || (!requests.n && requests.size > REQUESTS_BYTES)) {
        requests.s = realloc(requests.s, requests.size = size);
        if (!requests.s)
            die(1, "memory", ENOMEM);
    }
    ssize_t n = read(CONTROL_FD, requests.s + requests.n, requests.size - requests.n);
    if (n <= 0)
        return n < 0 && (errno == EAGAIN || errno == EINTR);
    requests.n += (size_t)n;
    while ((size = request_size(requests.s + at, requests.n - at)) > 4 && size <= requests.n - at) {
        take_request(agent, self, (char *)requests.s + at + 4, size - 4);
        at += size;
    }
    requests.n -= at;
    memmove(requests.s, requests.s + at, requests.n);
    return true;
}

static int spawner(char *self)
{
    struct conn agent = {.fd = CONTROL_FD};
    if (!settle_descriptors())
        die(2, "descriptor 3 is not a socket", 0);
    fcntl(CONTROL_FD, F_SETFL, O_NONBLOCK);
    int signal_fd = settle_signals();
    for (;;) {
        struct pollfd p[] = {{CONTROL_FD, (short)(POLLIN | (agent.out_from < agent.out_to ? POLLOUT : 0)), 0},
                             {signal_fd, POLLIN, 0}};
        if (poll(p, 2, -1) < 0)
            continue;
        if (p[1].revents) {
            take_signals(signal_fd);
            reap_shims(&agent);
        }
        if (p[0].revents & POLLOUT)
            conn_flush(&agent);
        if (agent.fd < 0 || (p[0].revents & ~POLLOUT && !read_requests(&agent, self)))
            return 0;
    }
}

/* ---- what a shim that was killed left ------------------------------------------------------------------------------------ */

static struct {
    int pid;
    unsigned long long starttime;
    char mark[256]; /* the entry of an environment */
} old;

static bool environ_has(int pid, const char *entry)
{
    char path[64], chunk[4096];
    snprintf(path, sizeof path, "/proc/%d/environ", pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    size_t at = 0, end = strlen(entry) + 1;
    bool differs = false;
    for (ssize_t n; at < end && (n = read(fd, chunk, sizeof chunk)) > 0;)
        for (ssize_t i = 0; i < n && at < end; i++) {
            if (!differs && chunk[i] == entry[at])
                at++;
            else
                differs = true;
            if (!chunk[i] && at < end) {
                at = 0;
                differs = false;
            }
        }
    close(fd);
    return at == end;
}

static bool is_old(int pid, const struct proc_stat *st)
{
    struct proc_stat leader;
    if (pid == 1 || pid == getpid() || is_dead(st))
        return false;
    if (pid == old.pid)
        return st->starttime == old.starttime;
    /* A number is not given out while a group or session has it: a leader of another start time leads strangers. */
    if ((st->pgrp == old.pid || st->session == old.pid) &&
        (!proc_stat(old.pid, &leader) || leader.starttime == old.starttime))
        return true;
    return old.mark[0] && environ_has(pid, old.mark);
}

static void find_old(struct pids *set)
{
    struct proc_stat st;
    DIR *proc = opendir("/proc");
    if (!proc)
        return;
    for (int pid; (pid = next_number(proc));)
        if (proc_stat(pid, &st) && is_old(pid, &st))
            stop_and_add(set, pid);
    closedir(proc);
    add_descendants(set);
}

static int kill_tree(const char *pid, const char *starttime)
{
    static const struct search all = {find_old, is_old};
    size_t killed = 0, found;
    int64_t deadline = mono_ms() + END_WAIT_MS;
    const char *attempt = getenv("HOSTLET_ATTEMPT");
    old.pid = (int)parse_number(pid, 2);
    old.starttime = (unsigned long long)parse_number(starttime, 0);
    if (attempt && *attempt)
        snprintf(old.mark, sizeof old.mark, "HOSTLET_ATTEMPT=%s", attempt);
    while ((found = stop_and_kill(&all)) > 0) {
        if (found > killed)
            killed = found;
        if (mono_ms() > deadline)
            break;
        nanosleep(&(struct timespec){.tv_nsec = 2000000}, NULL);
    }
    printf("%zu\n", killed);
    return found ? 1 : 0;
}

int main(int argc, char **argv)
{
    if (argc == 2 && !strcmp(argv[1], "version")) {
        puts("hostlet-shim " SHIM_VERSION);
        return 0;
    }
    if (argc == 4 && !strcmp(argv[1], "kill-tree"))
        return kill_tree(argv[2], argv[3]);
    if (argc == 2 && !strcmp(argv[1], "spawner"))
        return spawner(argv[0]);
    if (argc > 1 && !strcmp(argv[1], "run"))
        return run(argc - 1, argv + 1);
    if (argc > 1 && !strcmp(argv[1], "exec"))
        return exec_command(argc - 1, argv + 1);
    die(2, "usage: hostlet-shim run|exec|spawner|version|kill-tree ...", 0);
}
