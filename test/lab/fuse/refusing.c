/*
 * A file system that hands each call on to a directory, and refuses what its options name.
 *
 *   refusing <source> <mount point> [option]…
 *
 *   inodes=new       each look at a file finds another inode number, so that fstat and lstat differ
 *   inodes=zero      all inode numbers are 0
 *   inodes=server    libfuse invents the numbers, which is its default
 *   sync=CODE        fsync and fdatasync fail
 *   link=CODE        link fails
 *   rename=CODE      a rename over a file that is open fails
 *   names=N          names have at most N bytes
 *   characters       no file is created with one of < > " | ? * in its name, as on FAT
 *   hidden           a file that is removed while it is open gets a hidden name until it is closed: libfuse's default.
 *                    Without this option, fstat of such a file fails with ENOENT
 *
 * It prints "mounted", and reads words from its input:
 *
 *   hold          from now on no call returns, and each prints "held <thread of the caller>". Prints "holding"
 *   hold syncs    the same of fsync and fdatasync alone
 *   release       the calls go on. Prints "released"
 *   count         prints "count <number of calls so far>"
 *
 * It ends, and its mount with it, when its input ends.
 */
#define FUSE_USE_VERSION 31
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fuse.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

enum inodes { INODES_KEPT, INODES_NEW, INODES_ZERO, INODES_SERVER };

static const char *source;
static const char *mount_point;
static enum inodes inodes = INODES_KEPT;
static int refused_sync, refused_link, refused_rename;
static size_t longest_name = 255;
static int hides_removed, refuses_characters;

static atomic_ullong calls, next_inode = 1000;

static pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t released = PTHREAD_COND_INITIALIZER;
enum { HOLD_NONE, HOLD_SYNCS, HOLD_ALL };
static int holding = HOLD_NONE;

/* The path in the source directory. */
struct real {
	char path[4096];
};

/* Waits while calls of this kind are held. */
static void pass(int kind)
{
	pthread_mutex_lock(&gate);
	if (holding >= kind)
		printf("held %d\n", fuse_get_context()->pid);
	while (holding >= kind)
		pthread_cond_wait(&released, &gate);
	pthread_mutex_unlock(&gate);
}

/* Counts a call, and waits while calls are held. Returns 0, or an error for a name that is too long. */
static int enter(const char *path, struct real *real)
{
	const char *name = strrchr(path, '/');
	calls++;
	pass(HOLD_ALL);
	if (name && strlen(name + 1) > longest_name)
		return -ENAMETOOLONG;
	if (real && snprintf(real->path, sizeof real->path, "%s%s", source, path) >= (int)sizeof real->path)
		return -ENAMETOOLONG;
	return 0;
}

/* Like enter, for the name of a new file. */
static int enter_new(const char *path, struct real *real)
{
	int refused = enter(path, real);
	return refused ? refused : refuses_characters && strpbrk(path, "<>\"|?*") ? -EINVAL : 0;
}

static int result(int status)
{
	return status < 0 ? -errno : 0;
}

/* Enters a call on a path, and makes it. */
#define ON(path, call)                    \
	do {                                  \
		struct real at;                   \
		int refused = enter(path, &at);   \
		return refused ? refused : result(call); \
	} while (0)

/* Files that are open, for renames over them. */
static struct opened {
	dev_t dev;
	ino_t ino;
	int count;
} opened[4096];
static pthread_mutex_t opened_lock = PTHREAD_MUTEX_INITIALIZER;

/* Adds to the number of times that a file is open. Returns the number. */
static int count_opened(const struct stat *file, int change)
{
	struct opened *unused = NULL, *found = NULL;
	int count = 0;
	pthread_mutex_lock(&opened_lock);
	for (size_t i = 0; i < sizeof opened / sizeof *opened && !found; i++) {
		if (opened[i].count == 0)
			unused = unused ? unused : &opened[i];
		else if (opened[i].dev == file->st_dev && opened[i].ino == file->st_ino)
			found = &opened[i];
	}
	if (!found && change > 0 && unused) {
		found = unused;
		found->dev = file->st_dev;
		found->ino = file->st_ino;
	}
	if (found)
		count = found->count += change;
	pthread_mutex_unlock(&opened_lock);
	return count;
}

static int fs_getattr(const char *path, struct stat *stat, struct fuse_file_info *file)
{
	struct real at;
	int refused = enter(path, &at);
	if (refused)
		return refused;
	if ((file ? fstat(file->fh, stat) : lstat(at.path, stat)) < 0)
		return -errno;
	if (inodes == INODES_NEW)
		stat->st_ino = next_inode++;
	else if (inodes == INODES_ZERO)
		stat->st_ino = 0;
	return 0;
}

static int fs_readlink(const char *path, char *target, size_t size)
{
	struct real at;
	int refused = enter(path, &at);
	if (refused)
		return refused;
	ssize_t length = readlink(at.path, target, size - 1);
	if (length < 0)
		return -errno;
	target[length] = 0;
	return 0;
}

static int fs_mkdir(const char *path, mode_t mode)
{
	struct real at;
	int refused = enter_new(path, &at);
	return refused ? refused : result(mkdir(at.path, mode));
}
static int fs_rmdir(const char *path) { ON(path, rmdir(at.path)); }
static int fs_unlink(const char *path) { ON(path, unlink(at.path)); }
static int fs_symlink(const char *target, const char *path) { ON(path, symlink(target, at.path)); }
static int fs_chmod(const char *path, mode_t mode, struct fuse_file_info *file) { (void)file; ON(path, chmod(at.path, mode)); }
static int fs_chown(const char *path, uid_t uid, gid_t gid, struct fuse_file_info *file) { (void)file; ON(path, lchown(at.path, uid, gid)); }
static int fs_truncate(const char *path, off_t size, struct fuse_file_info *file) { (void)file; ON(path, truncate(at.path, size)); }
static int fs_utimens(const char *path, const struct timespec times[2], struct fuse_file_info *file)
{
	(void)file;
	ON(path, utimensat(AT_FDCWD, at.path, times, AT_SYMLINK_NOFOLLOW));
}

static int fs_link(const char *from, const char *to)
{
	struct real file;
	int refused = enter(from, &file);
	if (refused || refused_link)
		return refused ? refused : -refused_link;
	struct real at;
	refused = enter_new(to, &at);
	return refused ? refused : result(link(file.path, at.path));
}

static int fs_rename(const char *from, const char *to, unsigned int flags)
{
	struct real old, new;
	struct stat target;
	int refused = enter(from, &old);
	if (!refused)
		refused = enter_new(to, &new);
	if (refused)
		return refused;
	if (refused_rename && lstat(new.path, &target) == 0 && count_opened(&target, 0) > 0)
		return -refused_rename;
	return result(renameat2(AT_FDCWD, old.path, AT_FDCWD, new.path, flags));
}

static int opened_as(int fd, struct fuse_file_info *file)
{
	struct stat stat;
	if (fd < 0)
		return -errno;
	if (fstat(fd, &stat) == 0)
		count_opened(&stat, 1);
	file->fh = fd;
	return 0;
}

static int fs_create(const char *path, mode_t mode, struct fuse_file_info *file)
{
	struct real at;
	int refused = enter_new(path, &at);
	return refused ? refused : opened_as(open(at.path, file->flags, mode), file);
}

static int fs_open(const char *path, struct fuse_file_info *file)
{
	struct real at;
	int refused = enter(path, &at);
	return refused ? refused : opened_as(open(at.path, file->flags), file);
}

static int fs_release(const char *path, struct fuse_file_info *file)
{
	struct stat stat;
	(void)path;
	enter("", NULL);
	if (fstat(file->fh, &stat) == 0)
		count_opened(&stat, -1);
	return result(close(file->fh));
}

static int fs_read(const char *path, char *bytes, size_t size, off_t offset, struct fuse_file_info *file)
{
	(void)path;
	enter("", NULL);
	ssize_t length = pread(file->fh, bytes, size, offset);
	return length < 0 ? -errno : (int)length;
}

static int fs_write(const char *path, const char *bytes, size_t size, off_t offset, struct fuse_file_info *file)
{
	(void)path;
	enter("", NULL);
	ssize_t length = pwrite(file->fh, bytes, size, offset);
	return length < 0 ? -errno : (int)length;
}

static int fs_fsync(const char *path, int is_data, struct fuse_file_info *file)
{
	(void)path;
	enter("", NULL);
	pass(HOLD_SYNCS);
	if (refused_sync)
		return -refused_sync;
	return result(is_data ? fdatasync(file->fh) : fsync(file->fh));
}

static int fs_fsyncdir(const char *path, int is_data, struct fuse_file_info *file)
{
	(void)path;
	(void)is_data;
	(void)file;
	enter("", NULL);
	return -refused_sync;
}

static int fs_readdir(const char *path, void *entries, fuse_fill_dir_t fill, off_t offset, struct fuse_file_info *file,
                      enum fuse_readdir_flags flags)
{
	struct real at;
	int refused = enter(path, &at);
	(void)offset;
	(void)file;
	(void)flags;
	if (refused)
		return refused;
	DIR *dir = opendir(at.path);
	if (!dir)
		return -errno;
	for (struct dirent *entry = readdir(dir); entry; entry = readdir(dir))
		fill(entries, entry->d_name, NULL, 0, 0);
	closedir(dir);
	return 0;
}

static void *fs_init(struct fuse_conn_info *connection, struct fuse_config *config)
{
	(void)connection;
	config->use_ino = inodes != INODES_SERVER;
	config->hard_remove = !hides_removed;
	/* The kernel remembers nothing: each look reaches this program. */
	config->entry_timeout = config->attr_timeout = config->negative_timeout = 0;
	puts("mounted");
	return NULL;
}

static const struct fuse_operations operations = {
	.getattr = fs_getattr,
	.readlink = fs_readlink,
	.mkdir = fs_mkdir,
	.unlink = fs_unlink,
	.rmdir = fs_rmdir,
	.symlink = fs_symlink,
	.rename = fs_rename,
	.link = fs_link,
	.chmod = fs_chmod,
	.chown = fs_chown,
	.truncate = fs_truncate,
	.open = fs_open,
	.read = fs_read,
	.write = fs_write,
	.release = fs_release,
	.fsync = fs_fsync,
	.fsyncdir = fs_fsyncdir,
	.readdir = fs_readdir,
	.init = fs_init,
	.create = fs_create,
	.utimens = fs_utimens,
};

static void *obey(void *unused)
{
	char word[32];
	(void)unused;
	while (fgets(word, sizeof word, stdin)) {
		if (strcmp(word, "count\n") == 0) {
			printf("count %llu\n", calls);
			continue;
		}
		pthread_mutex_lock(&gate);
		holding = strcmp(word, "hold\n") == 0 ? HOLD_ALL : strcmp(word, "hold syncs\n") == 0 ? HOLD_SYNCS : HOLD_NONE;
		pthread_cond_broadcast(&released);
		puts(holding ? "holding" : "released");
		pthread_mutex_unlock(&gate);
	}
	umount2(mount_point, MNT_DETACH);
	_exit(0);
}

static int code_of(const char *name)
{
	static const struct {
		const char *name;
		int code;
	} codes[] = { { "EACCES", EACCES }, { "EBUSY", EBUSY }, { "EINVAL", EINVAL }, { "ENOSYS", ENOSYS },
		          { "ENOTSUP", ENOTSUP }, { "EPERM", EPERM } };
	for (size_t i = 0; i < sizeof codes / sizeof *codes; i++)
		if (strcmp(codes[i].name, name) == 0)
			return codes[i].code;
	fprintf(stderr, "unknown code %s\n", name);
	exit(2);
}

static void set(const char *option)
{
	if (strcmp(option, "inodes=new") == 0)
		inodes = INODES_NEW;
	else if (strcmp(option, "inodes=zero") == 0)
		inodes = INODES_ZERO;
	else if (strcmp(option, "inodes=server") == 0)
		inodes = INODES_SERVER;
	else if (strncmp(option, "sync=", 5) == 0)
		refused_sync = code_of(option + 5);
	else if (strncmp(option, "link=", 5) == 0)
		refused_link = code_of(option + 5);
	else if (strncmp(option, "rename=", 7) == 0)
		refused_rename = code_of(option + 7);
	else if (strncmp(option, "names=", 6) == 0)
		longest_name = strtoul(option + 6, NULL, 10);
	else if (strcmp(option, "characters") == 0)
		refuses_characters = 1;
	else if (strcmp(option, "hidden") == 0)
		hides_removed = 1;
	else {
		fprintf(stderr, "unknown option %s\n", option);
		exit(2);
	}
}

int main(int argc, char **argv)
{
	pthread_t listener;
	if (argc < 3)
		return 2;
	source = argv[1];
	mount_point = argv[2];
	for (int i = 3; i < argc; i++)
		set(argv[i]);
	umask(0);
	setvbuf(stdout, NULL, _IOLBF, 0);
	pthread_create(&listener, NULL, obey, NULL);
	char *arguments[] = { argv[0], "-f", "-o", "fsname=refusing,max_threads=32", argv[2], NULL };
	return fuse_main(5, arguments, &operations, NULL);
}
