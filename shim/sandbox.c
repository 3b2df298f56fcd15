/*
 * hostlet-sandbox: gives one program a root filesystem, mounts and namespaces of its own, as root or as an ordinary user
 * (then in a user namespace), and ends exactly as the program ends.
 * sandbox.md beside this file is the contract: invocation, order of things, signals, exit.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <linux/capability.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef AT_RECURSIVE
#define AT_RECURSIVE 0x8000
#endif
#define SYS_MOUNT_SETATTR 442 /* the same on x64 and arm64; musl's headers may be older */
#define ATTR_RDONLY 0x1
enum { MOUNTS_MAX = 1024, GROUPS_MAX = 256, CGROUPS_MAX = 16, HIDE_MAX = 16, CANNOT_RUN = 128 };

struct bind {
    const char *source, *target;
    const char *tmpfs; /* options of a fresh tmpfs in place of source */
    bool read_only;
    int fd;
    bool is_dir;
};

static struct {
    const char *work;   /* its own directory, made where it is missing: cannot-run, root/, upper/, ... */
    const char *rootfs; /* NULL: the host's */
    const char *hostname, *domainname, *cwd, *home, *netns;
    struct bind mounts[MOUNTS_MAX];
    const char *cgroups[CGROUPS_MAX], *hide[HIDE_MAX];
    size_t mounts_n, cgroups_n, hide_n, groups_n;
    gid_t groups[GROUPS_MAX];
    uid_t uid;
    gid_t gid;
    uint64_t caps;
    bool user_ns, read_only, privileged, no_new_privs, host_pid, host_ipc;
    long target; /* of enter: the payload of a `run` */
    char **argv, *words;
    size_t words_n;
    const char *file;
} opt = {.cwd = "/", .target = 0};

extern char **environ;

/* ---- how it says that it can't ------------------------------------------------------------------------------------ */

static int report_fd = -1;

/* For the pod's author: into the report, for whoever started this, and on stderr, which is in the container's log. */
__attribute__((format(printf, 2, 3))) static _Noreturn void cannot(int code, const char *format, ...)
{
    char text[1024];
    int err = errno;
    va_list args;
    va_start(args, format);
    int n = vsnprintf(text, sizeof text - 1, format, args);
    va_end(args);
    if (n < 0 || (size_t)n > sizeof text - 1)
        n = sizeof text - 2;
    if (code == CANNOT_RUN && err)
        n += snprintf(text + n, sizeof text - 1 - (size_t)n, ": %s", strerror(err));
    if ((size_t)n > sizeof text - 2)
        n = sizeof text - 2;
    if (report_fd >= 0)
        (void)!write(report_fd, text, (size_t)n);
    text[n++] = '\n';
    (void)!write(2, text, (size_t)n);
    _exit(code);
}

/* ---- options -------------------------------------------------------------------------------------------------------- */

static unsigned long number(const char *s)
{
    char *end;
    errno = 0;
    unsigned long n = strtoul(s, &end, 10);
    if (errno || end == s || *end || *s == '-')
        cannot(2, "hostlet-sandbox: %s is not a number", s);
    return n;
}

static const char *next(int argc, char **argv, int *i)
{
    if (*i + 1 >= argc)
        cannot(2, "hostlet-sandbox: %s needs a value", argv[*i]);
    return argv[++*i];
}

static void parse_groups(const char *list)
{
    char copy[4096], *save, *word;
    snprintf(copy, sizeof copy, "%s", list);
    for (word = strtok_r(copy, ",", &save); word; word = strtok_r(NULL, ",", &save)) {
        if (opt.groups_n == GROUPS_MAX)
            cannot(2, "hostlet-sandbox: more than %d groups", GROUPS_MAX);
        opt.groups[opt.groups_n++] = (gid_t)number(word);
    }
}

static void add_mount(struct bind bind)
{
    if (opt.mounts_n == MOUNTS_MAX)
        cannot(2, "hostlet-sandbox: more than %d mounts", MOUNTS_MAX);
    opt.mounts[opt.mounts_n++] = bind;
}

static void parse(int argc, char **argv)
{
    int i = 0;
    for (; i < argc && strcmp(argv[i], "--"); i++) {
        const char *o = argv[i];
#define IS(name) !strcmp(o, name)
#define VALUE next(argc, argv, &i)
        if (IS("--work")) opt.work = VALUE;
        else if (IS("--rootfs")) opt.rootfs = VALUE;
        else if (IS("--hostname")) opt.hostname = VALUE;
        else if (IS("--domainname")) opt.domainname = VALUE;
        else if (IS("--cwd")) opt.cwd = VALUE;
        else if (IS("--netns")) opt.netns = VALUE;
        else if (IS("--home")) opt.home = VALUE;
        else if (IS("--uid")) opt.uid = (uid_t)number(VALUE);
        else if (IS("--gid")) opt.gid = (gid_t)number(VALUE);
        else if (IS("--groups")) parse_groups(VALUE);
        else if (IS("--caps")) opt.caps = strtoull(VALUE, NULL, 16);
        else if (IS("--user-ns")) opt.user_ns = true;
        else if (IS("--read-only")) opt.read_only = true;
        else if (IS("--privileged")) opt.privileged = true;
        else if (IS("--no-new-privs")) opt.no_new_privs = true;
        else if (IS("--host-pid")) opt.host_pid = true;
        else if (IS("--host-ipc")) opt.host_ipc = true;
        else if (IS("--target")) opt.target = (long)number(VALUE);
        else if (IS("--cgroup") && opt.cgroups_n < CGROUPS_MAX) opt.cgroups[opt.cgroups_n++] = VALUE;
        else if (IS("--hide") && opt.hide_n < HIDE_MAX) opt.hide[opt.hide_n++] = VALUE;
        else if (IS("--bind") || IS("--ro-bind")) {
            const char *source = VALUE, *target = VALUE;
            add_mount((struct bind){.source = source, .target = target, .read_only = IS("--ro-bind"), .fd = -1});
        } else if (IS("--tmpfs")) {
            const char *options = VALUE, *target = VALUE;
            add_mount((struct bind){.tmpfs = options, .target = target, .is_dir = true, .fd = -1});
        } else cannot(2, "hostlet-sandbox: unknown option %s", o);
    }
    if (argc - i < 3)
        cannot(2, "hostlet-sandbox: usage: run|enter [options] -- FILE ARGV0 [ARG ...]");
    opt.words = argv[0];
    opt.words_n = (size_t)(argv[argc - 1] + strlen(argv[argc - 1]) - argv[0]);
    opt.file = argv[i + 1];
    opt.argv = argv + i + 2;
}

/* ---- files and mounts ----------------------------------------------------------------------------------------------- */

static void write_text(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text))
        cannot(CANNOT_RUN, "%s can't be written", path);
    close(fd);
}

static void do_mount(const char *source, const char *target, const char *type, unsigned long flags, const char *data)
{
    if (mount(source, target, type, flags, data) < 0)
        cannot(CANNOT_RUN, "%s can't be mounted on %s", type ? type : source, target);
}

/* Read-only for this bind and all that is mounted below it, where the kernel can (5.12); else for the bind alone. */
static void make_read_only(const char *path, bool recursive)
{
    struct { uint64_t set, clear, propagation, userns; } attr = {.set = ATTR_RDONLY};
    if (syscall(SYS_MOUNT_SETATTR, AT_FDCWD, path, recursive ? AT_RECURSIVE : 0, &attr, sizeof attr) == 0)
        return;
    struct statvfs st;
    unsigned long keep = 0;
    if (statvfs(path, &st) == 0)
        keep = (st.f_flag & ST_NOSUID ? MS_NOSUID : 0) | (st.f_flag & ST_NODEV ? MS_NODEV : 0) |
               (st.f_flag & ST_NOEXEC ? MS_NOEXEC : 0) | (st.f_flag & ST_NOATIME ? MS_NOATIME : 0) |
               (st.f_flag & ST_NODIRATIME ? MS_NODIRATIME : 0) | (st.f_flag & ST_RELATIME ? MS_RELATIME : 0);
    if (mount(NULL, path, NULL, MS_REMOUNT | MS_BIND | MS_RDONLY | keep, NULL) < 0)
        cannot(CANNOT_RUN, "%s can't be made read-only", path);
}

static void bind_into(const char *source, const char *target)
{
    do_mount(source, target, NULL, MS_BIND | MS_REC, NULL);
}

static bool exists(const char *path)
{
    struct stat st;
    return lstat(path, &st) == 0;
}

static int make_one(const char *path, bool is_dir)
{
    if (is_dir)
        return mkdir(path, 0755);
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0644);
    if (fd >= 0)
        close(fd);
    return fd < 0 ? -1 : 0;
}

/*
 * Puts a tmpfs over a directory in which nothing can be made, with all that is in it bound into its place: so that a
 * mount point can be made there, which neither the host nor the image has.
 */
static void mimic(const char *dir)
{
    char old[PATH_MAX], from[PATH_MAX], to[PATH_MAX], target[PATH_MAX];
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *d = fd < 0 ? NULL : fdopendir(fd);
    struct stat st;
    if (!d || fstat(fd, &st) < 0)
        cannot(CANNOT_RUN, "%s can't be read", dir);
    do_mount("tmpfs", dir, "tmpfs", MS_NOSUID | MS_NODEV, "mode=0755");
    snprintf(old, sizeof old, "/proc/self/fd/%d", fd);
    for (struct dirent *e; (e = readdir(d));) {
        if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, ".."))
            continue;
        if (snprintf(from, sizeof from, "%s/%s", old, e->d_name) >= (int)sizeof from ||
            snprintf(to, sizeof to, "%s/%s", dir, e->d_name) >= (int)sizeof to || lstat(from, &st) < 0)
            continue;
        if (S_ISLNK(st.st_mode)) {
            ssize_t n = readlink(from, target, sizeof target - 1);
            if (n > 0) {
                target[n] = 0;
                (void)!symlink(target, to);
            }
        } else if (make_one(to, S_ISDIR(st.st_mode)) == 0) {
            (void)!mount(from, to, NULL, MS_BIND | MS_REC, NULL); /* what can't be bound is empty here */
        }
    }
    closedir(d);
}

/* Makes a mount point, and the directories on its way. Symbolic links are followed: the root is the container's own. */
static void make_mount_point(const char *path, bool is_dir)
{
    char at[PATH_MAX];
    if (snprintf(at, sizeof at, "%s", path) >= (int)sizeof at)
        cannot(2, "hostlet-sandbox: the path %.64s... is too long", path);
    for (char *slash = at + 1;; slash++) {
        slash = strchr(slash, '/');
        bool last = !slash;
        if (slash)
            *slash = 0;
        struct stat st;
        if (*at && stat(at, &st) < 0) {
            if (make_one(at, !last || is_dir) < 0 && errno != EEXIST) {
                int err = errno;
                char *parent_end = strrchr(at, '/');
                char parent[PATH_MAX];
                snprintf(parent, sizeof parent, "%.*s", (int)(parent_end - at), at);
                if ((err != EROFS && err != EACCES && err != EPERM) || !*parent) {
                    errno = err;
                    cannot(CANNOT_RUN, "the mount point %s can't be made", path);
                }
                mimic(parent);
                if (make_one(at, !last || is_dir) < 0 && errno != EEXIST)
                    cannot(CANNOT_RUN, "the mount point %s can't be made", path);
            }
        } else if (*at && last && S_ISDIR(st.st_mode) != is_dir) {
            errno = is_dir ? ENOTDIR : EISDIR;
            cannot(CANNOT_RUN, "%s can't be mounted on", path);
        }
        if (last)
            return;
        *slash = '/';
    }
}

/* Opened in the host's root, before anything is mounted; a link that was put there meanwhile is not followed. */
static void open_sources(void)
{
    struct stat st;
    for (size_t i = 0; i < opt.mounts_n; i++) {
        struct bind *b = &opt.mounts[i];
        if (b->tmpfs)
            continue;
        struct { uint64_t flags, mode, resolve; } how = {.flags = O_PATH | O_CLOEXEC, .resolve = 0x04 /* NO_SYMLINKS */};
        b->fd = (int)syscall(437 /* openat2 */, AT_FDCWD, b->source, &how, sizeof how);
        if (b->fd < 0 && errno == ENOSYS)
            b->fd = open(b->source, O_PATH | O_CLOEXEC | O_NOFOLLOW);
        if (b->fd < 0 || fstat(b->fd, &st) < 0)
            cannot(CANNOT_RUN, "%s, which is to be mounted on %s, can't be opened", b->source, b->target);
        b->is_dir = S_ISDIR(st.st_mode);
    }
}

/* ---- the root --------------------------------------------------------------------------------------------------------- */

static char new_root[PATH_MAX];

static const char *in_work(const char *name)
{
    static char paths[4][PATH_MAX];
    static size_t n;
    char *path = paths[n++ % 4];
    snprintf(path, PATH_MAX, "%s/%s", opt.work, name);
    return path;
}

static void make_in_work(const char *name, mode_t mode)
{
    if (mkdir(in_work(name), mode) < 0 && errno != EEXIST)
        cannot(CANNOT_RUN, "%s can't be made", in_work(name));
    chmod(in_work(name), mode);
}

/* What the container writes is in `layer`, on disk; in memory where that file system can't (one that is an overlay itself, NFS). */
static bool mount_overlay(const char *lower)
{
    char options[4 * PATH_MAX];
    /* In options of an overlay a comma or a colon would end the path. */
    errno = EINVAL;
    if (strpbrk(lower, ",:\\") || strpbrk(opt.work, ",:\\"))
        return false;
    make_in_work("layer", 0700);
    for (int in_memory = 0; in_memory < 2; in_memory++) {
        if (in_memory && mount("tmpfs", in_work("layer"), "tmpfs", MS_NOSUID | MS_NODEV, "mode=0700") < 0)
            return false;
        make_in_work("layer/upper", 0755);
        make_in_work("layer/work", 0700);
        snprintf(options, sizeof options, "lowerdir=%s,upperdir=%s,workdir=%s%s", lower, in_work("layer/upper"),
                 in_work("layer/work"), opt.user_ns ? ",userxattr" : "");
        if (mount("overlay", new_root, "overlay", 0, options) == 0)
            return true;
    }
    return false;
}

static bool is_special(const char *name)
{
    static const char *const names[] = {".", "..", "proc", "sys", "dev", "tmp", "run"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (!strcmp(name, names[i]))
            return true;
    return false;
}

/* The host's root as an ordinary user sees it: everything where it is, and nothing to be written. */
static void bind_host_root(void)
{
    char from[PATH_MAX], to[PATH_MAX], target[PATH_MAX];
    DIR *d = opendir("/");
    struct stat st;
    do_mount("tmpfs", new_root, "tmpfs", MS_NOSUID | MS_NODEV, "mode=0755");
    for (struct dirent *e; d && (e = readdir(d));) {
        if (is_special(e->d_name) || strlen(e->d_name) > NAME_MAX)
            continue;
        snprintf(from, sizeof from, "/%s", e->d_name);
        if (snprintf(to, sizeof to, "%s/%s", new_root, e->d_name) >= (int)sizeof to || lstat(from, &st) < 0)
            continue;
        if (S_ISLNK(st.st_mode)) {
            ssize_t n = readlink(from, target, sizeof target - 1);
            if (n > 0) {
                target[n] = 0;
                (void)!symlink(target, to);
            }
        } else if (make_one(to, S_ISDIR(st.st_mode)) == 0) {
            bind_into(from, to);
            make_read_only(to, true);
        }
    }
    if (d)
        closedir(d);
}

/* What else of the host's is mounted in places of their own (/home, /usr on another disk): an overlay has only one file system. */
static void bind_host_mounts(void)
{
    char line[2 * PATH_MAX], path[PATH_MAX], to[PATH_MAX];
    FILE *f = fopen("/proc/self/mountinfo", "re");
    struct stat st;
    while (f && fgets(line, sizeof line, f)) {
        if (sscanf(line, "%*s %*s %*s %*s %4095s", path) != 1 || strchr(path, '\\') || path[1] == 0)
            continue;
        char first[NAME_MAX + 1];
        snprintf(first, sizeof first, "%.*s", (int)strcspn(path + 1, "/"), path + 1);
        if (is_special(first) || !strncmp(path, opt.work, strlen(opt.work)) ||
            snprintf(to, sizeof to, "%s%s", new_root, path) >= (int)sizeof to || lstat(path, &st) < 0)
            continue;
        if (lstat(to, &st) == 0 && !S_ISLNK(st.st_mode) && mount(path, to, NULL, MS_BIND, NULL) == 0)
            make_read_only(to, false);
    }
    if (f)
        fclose(f);
}

static void make_root(void)
{
    make_in_work("root", 0755);
    if (!realpath(in_work("root"), new_root))
        cannot(CANNOT_RUN, "%s can't be found", in_work("root"));
    if (opt.rootfs) {
        if (!mount_overlay(opt.rootfs))
            cannot(CANNOT_RUN, "an overlay over the image %s can't be mounted", opt.rootfs);
    } else if (!opt.user_ns && mount_overlay("/")) {
        bind_host_mounts();
    } else {
        bind_host_root();
    }
}

static void make_node(const char *name)
{
    char from[64], to[64];
    snprintf(from, sizeof from, "/.hostlet-old/dev/%s", name);
    snprintf(to, sizeof to, "/dev/%s", name);
    if (make_one(to, false) == 0)
        (void)!mount(from, to, NULL, MS_BIND, NULL);
}

static void make_dev(void)
{
    static const char *const nodes[] = {"null", "zero", "full", "random", "urandom", "tty"};
    make_mount_point("/dev", true);
    if (opt.privileged) {
        bind_into("/.hostlet-old/dev", "/dev");
        return;
    }
    do_mount("tmpfs", "/dev", "tmpfs", MS_NOSUID | MS_STRICTATIME, "mode=0755,size=64k,nr_inodes=4k");
    for (size_t i = 0; i < sizeof nodes / sizeof *nodes; i++)
        make_node(nodes[i]);
    (void)!symlink("/proc/self/fd", "/dev/fd");
    (void)!symlink("/proc/self/fd/0", "/dev/stdin");
    (void)!symlink("/proc/self/fd/1", "/dev/stdout");
    (void)!symlink("/proc/self/fd/2", "/dev/stderr");
    (void)!symlink("pts/ptmx", "/dev/ptmx");
    mkdir("/dev/pts", 0755);
    mkdir("/dev/shm", 01777);
    mkdir("/dev/mqueue", 01777);
    if (mount("devpts", "/dev/pts", "devpts", MS_NOSUID | MS_NOEXEC, "newinstance,ptmxmode=0666,mode=0620") < 0)
        bind_into("/.hostlet-old/dev/pts", "/dev/pts");
    do_mount("tmpfs", "/dev/shm", "tmpfs", MS_NOSUID | MS_NODEV, "mode=1777,size=64m");
    if (mount("mqueue", "/dev/mqueue", "mqueue", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) < 0)
        rmdir("/dev/mqueue"); /* a kernel without it, or not ours to mount */
}

/* What a container has no business with in /proc and /sys; the list that container runtimes agree on. */
static void guard_proc(void)
{
    static const char *const masked[] = {"/proc/kcore", "/proc/keys", "/proc/latency_stats", "/proc/timer_list",
                                         "/proc/sched_debug", "/proc/acpi", "/proc/scsi", "/sys/firmware"};
    static const char *const fixed[] = {"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"};
    struct stat st;
    if (opt.privileged)
        return;
    for (size_t i = 0; i < sizeof masked / sizeof *masked; i++)
        if (stat(masked[i], &st) == 0 &&
            mount(S_ISDIR(st.st_mode) ? "tmpfs" : "/dev/null", masked[i], S_ISDIR(st.st_mode) ? "tmpfs" : NULL,
                  S_ISDIR(st.st_mode) ? MS_RDONLY : MS_BIND, NULL) < 0 && !opt.user_ns)
            cannot(CANNOT_RUN, "%s can't be masked", masked[i]);
    for (size_t i = 0; i < sizeof fixed / sizeof *fixed; i++)
        if (exists(fixed[i]) && mount(fixed[i], fixed[i], NULL, MS_BIND | MS_REC, NULL) == 0)
            make_read_only(fixed[i], true);
}

static void make_kernel_mounts(void)
{
    make_mount_point("/proc", true);
    if (opt.host_pid)
        bind_into("/.hostlet-old/proc", "/proc");
    else
        do_mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL);
    make_dev();
    make_mount_point("/sys", true);
    bind_into("/.hostlet-old/sys", "/sys");
    if (!opt.privileged)
        make_read_only("/sys", true);
    guard_proc();
}

/* A directory of the attempt's, on disk: a tmpfs would be the memory of whoever fills it. */
static void make_scratch(const char *name, const char *target, mode_t mode)
{
    char from[PATH_MAX];
    make_mount_point(target, true);
    snprintf(from, sizeof from, "/.hostlet-old%s", in_work(name));
    bind_into(from, target);
    chmod(target, mode);
}

static void mount_all(void)
{
    char source[64];
    for (size_t i = 0; i < opt.mounts_n; i++) {
        struct bind *b = &opt.mounts[i];
        make_mount_point(b->target, b->is_dir);
        if (b->tmpfs) {
            do_mount("tmpfs", b->target, "tmpfs", MS_NOSUID | MS_NODEV, b->tmpfs);
            continue;
        }
        snprintf(source, sizeof source, "/proc/self/fd/%d", b->fd);
        if (mount(source, b->target, NULL, MS_BIND | MS_REC, NULL) < 0)
            cannot(CANNOT_RUN, "%s can't be mounted on %s", b->source, b->target);
        if (b->read_only)
            make_read_only(b->target, true);
    }
}

/* In a mount namespace of its own, which the host's mounts still reach, and which reaches nobody. */
static void enter_root(void)
{
    do_mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL);
    if (!opt.rootfs) {
        make_in_work("tmp", 01777);
        make_in_work("run", 0755);
    }
    make_root();
    open_sources();
    char old[PATH_MAX + 16];
    snprintf(old, sizeof old, "%s/.hostlet-old", new_root);
    if (mkdir(old, 0700) < 0 && errno != EEXIST)
        cannot(CANNOT_RUN, "%s can't be made", old);
    if (syscall(SYS_pivot_root, new_root, old) < 0)
        cannot(CANNOT_RUN, "%s can't become the root", new_root);
    if (chdir("/") < 0)
        cannot(CANNOT_RUN, "the new root can't be entered");
    make_kernel_mounts();
    if (!opt.rootfs) {
        make_scratch("tmp", "/tmp", 01777);
        make_scratch("run", "/run", 0755);
    }
    for (size_t i = 0; i < opt.hide_n; i++)
        if (exists(opt.hide[i]))
            do_mount("tmpfs", opt.hide[i], "tmpfs", MS_NOSUID | MS_NODEV, "mode=0755,size=1m");
    mount_all();
    if (opt.rootfs && !exists(opt.cwd))
        make_mount_point(opt.cwd, true); /* as container runtimes make it */
    if (umount2("/.hostlet-old", MNT_DETACH) < 0)
        cannot(CANNOT_RUN, "the host's root can't be left");
    rmdir("/.hostlet-old");
    if (opt.read_only)
        make_read_only("/", false);
}

/* ---- who it is ---------------------------------------------------------------------------------------------------------- */

static void map_user(uid_t uid, gid_t gid)
{
    char map[64];
    write_text("/proc/self/setgroups", "deny");
    snprintf(map, sizeof map, "%u %u 1\n", opt.uid, uid);
    write_text("/proc/self/uid_map", map);
    snprintf(map, sizeof map, "%u %u 1\n", opt.gid, gid);
    write_text("/proc/self/gid_map", map);
}

static void set_caps(uint64_t caps)
{
    struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[2] = {0};
    for (int i = 0; i < 2; i++)
        data[i].effective = data[i].permitted = (uint32_t)(caps >> 32 * i);
    if (syscall(SYS_capset, &head, data) < 0)
        cannot(CANNOT_RUN, "the capabilities %llx can't be had", (unsigned long long)caps);
}

static uint64_t own_caps(void)
{
    struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[2] = {0};
    if (syscall(SYS_capget, &head, data) < 0)
        return 0;
    return (uint64_t)data[1].permitted << 32 | data[0].permitted;
}

/* As container runtimes have it: the bounding set is what may be had; another user than root has none of it at first. */
static void become(void)
{
    uint64_t caps = opt.caps & own_caps();
    for (int cap = 0; prctl(PR_CAPBSET_READ, cap) >= 0; cap++)
        if (!(caps >> cap & 1))
            prctl(PR_CAPBSET_DROP, cap);
    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
    if (!opt.user_ns && setgroups(opt.groups_n, opt.groups) < 0)
        cannot(CANNOT_RUN, "the supplementary groups can't be set");
    if (setresgid(opt.gid, opt.gid, opt.gid) < 0)
        cannot(CANNOT_RUN, "gid %u can't be had", opt.gid);
    if (setresuid(opt.uid, opt.uid, opt.uid) < 0)
        cannot(CANNOT_RUN, "uid %u can't be had", opt.uid);
    set_caps(opt.uid == 0 ? caps : 0);
    if (opt.no_new_privs && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        cannot(CANNOT_RUN, "no_new_privs can't be set");
}

/* ---- the program -------------------------------------------------------------------------------------------------------- */

static const char *own_path(void)
{
    const char *path = getenv("PATH");
    return path ? path : "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
}

/* Looks the program up as a shell does, in the root that it will have. Returns only where it can't be executed. */
static void execute(void)
{
    char file[PATH_MAX];
    int err = ENOENT;
    if (strchr(opt.file, '/')) {
        execve(opt.file, opt.argv, environ);
        return;
    }
    for (const char *at = own_path();; at++) {
        size_t n = strcspn(at, ":");
        if (snprintf(file, sizeof file, "%.*s%s%s", (int)n, at, n ? "/" : "", opt.file) < (int)sizeof file) {
            execve(file, opt.argv, environ);
            if (errno != ENOENT && errno != ENOTDIR)
                err = errno;
        }
        at += n;
        if (!*at)
            break;
    }
    errno = err;
}

/* What every container of an image has. */
static void complete_environment(void)
{
    char name[HOST_NAME_MAX + 1] = "";
    setenv("PATH", own_path(), 0);
    setenv("HOME", opt.home, 0);
    if (gethostname(name, sizeof name - 1) == 0)
        setenv("HOSTNAME", name, 0);
}

static _Noreturn void run_program(void)
{
    sigset_t none;
    setsid();
    ioctl(0, TIOCSCTTY, 0); /* where it is a terminal */
    for (int n = 1; n < NSIG; n++)
        signal(n, SIG_DFL);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    become();
    if (opt.home)
        complete_environment();
    if (chdir(opt.cwd) < 0)
        cannot(CANNOT_RUN, "the working directory %s can't be entered", opt.cwd);
    execute();
    int err = errno;
    errno = 0;
    if (err == ENOENT || err == ENOTDIR)
        cannot(127, "exec: \"%s\": %s: no such file, in PATH or as a path, in the container", opt.file, strerror(err));
    cannot(126, "exec: \"%s\": %s", opt.file, strerror(err));
}

/* ---- the two that wait --------------------------------------------------------------------------------------------------- */

/* All signals are taken from a descriptor: blocked ones reach even the first process of a pid namespace. */
static int take_signals(void)
{
    sigset_t all;
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, NULL);
    return signalfd(-1, &all, SFD_CLOEXEC);
}

/* Passes signals on that somebody sent, until `child` has ended; reaps all others. Returns its wait status. */
static int wait_for(int child, int signal_fd)
{
    struct signalfd_siginfo info;
    int status, pid;
    for (;;) {
        while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
            if (pid == child)
                return status;
        if (pid < 0 && errno == ECHILD)
            return 0;
        if (read(signal_fd, &info, sizeof info) != sizeof info)
            continue;
        /* What the terminal or the kernel sends, it sends to the program itself. */
        if (info.ssi_signo != SIGCHLD && info.ssi_code <= 0)
            kill(child, (int)info.ssi_signo);
    }
}

/* Ends as the program did: with its exit code, or by its signal. */
static _Noreturn void end_like(int status)
{
    if (WIFSIGNALED(status)) {
        struct rlimit none = {0, 0};
        sigset_t set;
        setrlimit(RLIMIT_CORE, &none);
        signal(WTERMSIG(status), SIG_DFL);
        sigfillset(&set);
        sigprocmask(SIG_SETMASK, &set, NULL);
        kill(getpid(), WTERMSIG(status));
        sigemptyset(&set);
        sigaddset(&set, WTERMSIG(status));
        sigprocmask(SIG_UNBLOCK, &set, NULL);
        _exit(128 + WTERMSIG(status));
    }
    _exit(WEXITSTATUS(status));
}

/* The first process of the sandbox: makes it, starts the program, reaps, and tells how the program ended. */
static _Noreturn void be_init(int result)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); /* where the pid namespace is not its own */
    if (opt.hostname && sethostname(opt.hostname, strlen(opt.hostname)) < 0)
        cannot(CANNOT_RUN, "the hostname %s can't be set", opt.hostname);
    if (opt.domainname && setdomainname(opt.domainname, strlen(opt.domainname)) < 0)
        cannot(CANNOT_RUN, "the domain name %s can't be set", opt.domainname);
    enter_root();
    int signal_fd = take_signals();
    int child = fork();
    if (child < 0)
        cannot(CANNOT_RUN, "fork");
    if (child == 0)
        run_program();
    memset(opt.words, 0, opt.words_n); /* what the container may see of this in /proc/1/cmdline */
    for (int fd = 0; fd < 3; fd++)
        close(fd); /* the streams end with the program */
    int status = wait_for(child, signal_fd);
    if (write(result, &status, sizeof status) != sizeof status)
        _exit(1);
    _exit(0);
}

static void join_cgroups(void)
{
    char path[PATH_MAX];
    for (size_t i = 0; i < opt.cgroups_n; i++) {
        snprintf(path, sizeof path, "%s/cgroup.procs", opt.cgroups[i]);
        write_text(path, "0\n");
    }
}

/* It is the program's to have. */
static void leave_terminal(void)
{
    signal(SIGHUP, SIG_IGN); /* which comes with that */
    ioctl(0, TIOCNOTTY);
}

static int run(void)
{
    int result[2], status;
    uid_t uid = geteuid();
    gid_t gid = getegid();
    if (!opt.work || *opt.work != '/')
        cannot(2, "hostlet-sandbox: --work is missing, or not absolute");
    mkdir(opt.work, 0700);
    report_fd = open(in_work("cannot-run"), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    umask(022);
    join_cgroups();
    leave_terminal();
    if (opt.user_ns) {
        if (unshare(CLONE_NEWUSER) < 0)
            cannot(CANNOT_RUN, "this host gives no user namespaces");
        map_user(uid, gid);
    }
    if (opt.netns) {
        int net = open(opt.netns, O_RDONLY | O_CLOEXEC);
        if (net < 0 || setns(net, CLONE_NEWNET) < 0)
            cannot(CANNOT_RUN, "the network namespace %s can't be entered", opt.netns);
        close(net);
    }
    if (unshare(CLONE_NEWNS | CLONE_NEWUTS | (opt.host_ipc ? 0 : CLONE_NEWIPC) | (opt.host_pid ? 0 : CLONE_NEWPID)) < 0)
        cannot(CANNOT_RUN, "namespaces can't be had");
    int signal_fd = take_signals();
    if (pipe2(result, O_CLOEXEC) < 0)
        cannot(CANNOT_RUN, "pipe");
    int child = fork();
    if (child < 0)
        cannot(CANNOT_RUN, "fork");
    if (child == 0) {
        close(result[0]);
        be_init(result[1]);
    }
    close(result[1]);
    for (int fd = 0; fd < 3; fd++)
        close(fd);
    int init = wait_for(child, signal_fd);
    end_like(read(result[0], &status, sizeof status) == sizeof status ? status : init);
}

/* ---- enter ---------------------------------------------------------------------------------------------------------------- */

static int open_ns(int pid, const char *name)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/%s", pid, name);
    return open(path, O_RDONLY | O_CLOEXEC);
}

static int child_of(long pid)
{
    char path[64], text[32] = "";
    snprintf(path, sizeof path, "/proc/%ld/task/%ld/children", pid, pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd >= 0) {
        (void)!read(fd, text, sizeof text - 1);
        close(fd);
        return atoi(text);
    }
    DIR *proc = opendir("/proc"); /* a kernel without CONFIG_PROC_CHILDREN */
    int found = 0, ppid;
    for (struct dirent *e; proc && !found && (e = readdir(proc));) {
        char line[512] = "";
        snprintf(path, sizeof path, "/proc/%.16s/stat", e->d_name);
        if (atoi(e->d_name) <= 0 || (fd = open(path, O_RDONLY | O_CLOEXEC)) < 0)
            continue;
        (void)!read(fd, line, sizeof line - 1);
        close(fd);
        char *rest = strrchr(line, ')');
        if (rest && sscanf(rest + 1, " %*c %d", &ppid) == 1 && ppid == pid)
            found = atoi(e->d_name);
    }
    if (proc)
        closedir(proc);
    return found;
}

static void join(int fd, int kind, const char *what)
{
    if (fd < 0 || setns(fd, kind) < 0)
        cannot(CANNOT_RUN, "the container's %s can't be entered: it may have ended", what);
    close(fd);
}

static int enter(void)
{
    int init = child_of(opt.target);
    errno = ESRCH;
    if (init <= 0)
        cannot(CANNOT_RUN, "the container has ended");
    int user = opt.user_ns ? open_ns(init, "ns/user") : -1, mnt = open_ns(init, "ns/mnt"), pid = open_ns(init, "ns/pid"),
        uts = open_ns(init, "ns/uts"), net = open_ns(init, "ns/net"), ipc = open_ns(init, "ns/ipc"), root = open_ns(init, "root");
    join_cgroups();
    leave_terminal();
    if (opt.user_ns)
        join(user, CLONE_NEWUSER, "user namespace");
    join(uts, CLONE_NEWUTS, "hostname");
    if (!opt.user_ns)
        join(net, CLONE_NEWNET, "network");
    if (!opt.host_ipc)
        join(ipc, CLONE_NEWIPC, "IPC namespace");
    if (!opt.host_pid)
        join(pid, CLONE_NEWPID, "pid namespace");
    join(mnt, CLONE_NEWNS, "mounts");
    if (root < 0 || fchdir(root) < 0 || chroot(".") < 0)
        cannot(CANNOT_RUN, "the container's root can't be entered");
    close(root);
    int signal_fd = take_signals();
    int child = fork();
    if (child < 0)
        cannot(CANNOT_RUN, "fork");
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        run_program();
    }
    for (int fd = 0; fd < 3; fd++)
        close(fd);
    end_like(wait_for(child, signal_fd));
}

/* Whether this host gives what `run` needs; says what is missing. */
static int probe(bool user_ns)
{
    opt.user_ns = user_ns;
    uid_t uid = geteuid();
    gid_t gid = getegid();
    if (user_ns) {
        if (unshare(CLONE_NEWUSER) < 0)
            cannot(CANNOT_RUN, "user namespaces");
        map_user(uid, gid);
    }
    if (unshare(CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWPID) < 0)
        cannot(CANNOT_RUN, "mount and pid namespaces");
    int child = fork(), status;
    if (child == 0) {
        do_mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL);
        do_mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL);
        _exit(0);
    }
    if (child < 0 || waitpid(child, &status, 0) < 0)
        cannot(CANNOT_RUN, "fork");
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

int main(int argc, char **argv)
{
    if (argc > 1 && !strcmp(argv[1], "probe"))
        return probe(argc > 2 && !strcmp(argv[2], "--user-ns"));
    if (argc > 1 && !strcmp(argv[1], "version")) {
        puts("hostlet-sandbox 1");
        return 0;
    }
    bool runs = argc > 1 && !strcmp(argv[1], "run");
    if (!runs && (argc < 2 || strcmp(argv[1], "enter")))
        cannot(2, "usage: hostlet-sandbox run|enter|probe|version ...");
    parse(argc - 2, argv + 2);
    return runs ? run() : enter();
}
