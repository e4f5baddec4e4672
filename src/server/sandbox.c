/* What the server gives up before it reads the first octet of anybody's mail: root's rights, all files but those that the
 * configuration names, all system calls but those it needs.  */
#include "io/confine.h"
#include "io/file.h"
#include "io/warden.h"
#include "server/parts.h"

#include <errno.h>
#include <sysexits.h>

enum { PATH_OCTETS = 4096 };

struct sandbox {
	struct io_user user; /* that root has become; no name: it has not */
	bool root;
	int paths, calls;        /* what io_confine_* returned */
	struct io_grant *grants; /* paths are ours */
	uint32_t count, capacity;
	struct buf
		commands; /* that the warden may start: words end in NUL, commands in an empty word */
};

/* ---- grants ---- */

static bool is_under(const char *path, const char *above)
{
	size_t len = strlen(above);
	return !strncmp(path, above, len) && (path[len] == '\0' || path[len] == '/');
}

static bool is_granted(const struct sandbox *b, const char *path, bool write)
{
	if (!write && io_is_of_system(path)) return true;
	for (uint32_t i = 0; i < b->count; i++)
		if ((b->grants[i].write || !write) && is_under(path, b->grants[i].path))
			return true;
	return false;
}

static bool add_grant(struct sandbox *b, const char *path, bool write)
{
	if (is_granted(b, path, write)) return true;
	if (b->count == b->capacity) {
		uint32_t capacity = b->capacity ? b->capacity * 2 : 16;
		struct io_grant *more = reallocarray(b->grants, capacity, sizeof *more);
		if (!more) return false;
		b->grants = more;
		b->capacity = capacity;
	}
	char *copy = strdup(path);
	if (copy) b->grants[b->count++] = (struct io_grant){copy, write};
	return copy != NULL;
}

/* path becomes the directory it stands in.  */
static void go_up(char *path)
{
	char *slash = strrchr(path, '/');
	if (!slash)
		memcpy(path, ".", 2);
	else if (slash == path)
		path[1] = '\0';
	else
		*slash = '\0';
}

static bool is_top(const char *path) { return !strcmp(path, "/") || !strcmp(path, "."); }

/* What has to be granted for path: a directory to write in, or the one that holds a file to read, so that another may
 * take its place; or, as long as that is missing, the nearest above it.  False: too long, or all there is.  */
static bool to_grant(struct io *io, struct str path, bool write, char ret[PATH_OCTETS])
{
	if (path.len >= PATH_OCTETS) return false;
	memcpy(ret, path.ptr, path.len);
	ret[path.len] = '\0';
	if (!write) go_up(ret);
	while (!io_path_exists(io, ret) && !is_top(ret)) go_up(ret);
	return strcmp(ret, "/") != 0;
}

/* What path leads to when it is a symbolic link, as certificates often are.  False: to nowhere.  */
static bool to_grant_behind(struct io *io, struct str path, char ret[PATH_OCTETS])
{
	char plain[PATH_OCTETS];
	struct buf real = {.ptr = ret, .cap = PATH_OCTETS - 1, .max = PATH_OCTETS - 1};
	if (path.len >= sizeof plain) return false;
	memcpy(plain, path.ptr, path.len);
	plain[path.len] = '\0';
	if (io_path_real(io, plain, &real) != 0) return false;
	ret[real.len] = '\0';
	go_up(ret);
	return strcmp(ret, "/") != 0;
}

static bool grant_all(struct sandbox *b, struct io *io, const struct config *c)
{
	char path[PATH_OCTETS];
	for (const struct config_use *u = c->uses; u; u = u->next) {
		if (to_grant(io, u->path, u->write, path) && !add_grant(b, path, u->write))
			return false;
		if (!u->write && to_grant_behind(io, u->path, path) && !add_grant(b, path, false))
			return false;
	}
	return true;
}

/* ---- directories ---- */

/* The topmost part of path that is missing, or path.  */
static void topmost_missing(struct io *io, const char *path, char ret[PATH_OCTETS])
{
	char at[PATH_OCTETS];
	snprintf(at, sizeof at, "%s", path);
	memcpy(ret, at, sizeof at);
	while (!io_path_exists(io, at) && !is_top(at)) {
		memcpy(ret, at, sizeof at);
		go_up(at);
	}
}

/* Make path when it is missing.  What is made belongs to the user, and what was root's (all) becomes the user's.  */
static int own_directory(struct io *io, const char *path, const struct io_user *user, bool all)
{
	char made[PATH_OCTETS];
	uint32_t owner = 0;
	bool there = io_path_exists(io, path);
	topmost_missing(io, path, made);
	int error = io_dir_make(io, path);
	if (error || !user->name || (there && !all)) return error;
	error = io_owner(io, made, &owner);
	return error || owner != 0 ? error : io_hand_over(io, made, user);
}

/* Mailboxes and sockets outside of state: what cannot be made is told when it is needed.  */
static void own_others(struct io *io, const struct config *c, const struct io_user *user)
{
	for (const struct config_use *u = c->uses; u; u = u->next) {
		if (!u->write || u->path.len >= PATH_OCTETS || str_eq(u->path, c->state)) continue;
		if (own_directory(io, u->path.ptr, user, false) != 0) continue;
	}
}

/* ---- commands: token_command alone ---- */

enum { COMMANDS_MAX = 1 << 20 };

/* argv, as it stands in sandbox.commands.  */
static void add_command(struct buf *out, const char *const *argv)
{
	for (; *argv; argv++) buf_add(out, str_of(*argv, strlen(*argv) + 1));
	buf_add_c(out, '\0');
}

static const struct route_rule *next_with_command(
	const struct config *c, const struct route_rule *at)
{
	struct map_node *n = map_next(&c->routes.names, at ? (struct map_node *)&at->node : NULL);
	for (; n; n = map_next(&c->routes.names, n)) {
		const struct route_rule *rule = CONTAINER_OF(n, struct route_rule, node);
		if (rule->token_command) return rule;
	}
	return NULL;
}

static bool is_known_command(const struct sandbox *b, const char *const *argv)
{
	struct buf one;
	buf_init(&one, COMMANDS_MAX);
	buf_add_c(&one, '\0'); /* the end of the one before */
	add_command(&one, argv);
	bool known = buf_ok(&one) && b->commands.len >= one.len &&
		memmem(b->commands.ptr, b->commands.len, one.ptr, one.len);
	buf_release(&one);
	return known;
}

/* Who starts them is made before the sandbox is closed.  0 or -errno.  */
static int start_warden(struct server *s, struct sandbox *b)
{
	const struct config *c = server_config(s);
	uint32_t count = 0;
	for (const struct route_rule *r = NULL; (r = next_with_command(c, r));) count++;
	if (!count) return 0;
	const char *const **commands = calloc(count, sizeof *commands);
	if (!commands) return -ENOMEM;
	buf_add_c(&b->commands, '\0');
	count = 0;
	for (const struct route_rule *r = NULL; (r = next_with_command(c, r));) {
		commands[count++] = r->token_command;
		add_command(&b->commands, r->token_command);
	}
	int error = buf_ok(&b->commands) ? io_warden_start(s->io, commands, count) : -E2BIG;
	free(commands);
	return error;
}

/* ---- confining ---- */

static int fail(int code, const char **ret_what, const char *what, const char **ret_why, int error)
{
	*ret_what = what;
	*ret_why = strerror(-error);
	return code;
}

/* 0, or an exit code.  */
static int become(struct server *s, struct sandbox *b, const char **ret_what, const char **ret_why)
{
	const struct config *c = server_config(s);
	const char *name = c->user.len ? c->user.ptr : "rockdove";
	b->root = io_is_root(s->io);
	if (b->root && io_user_find(s->io, name, &b->user) != 0) b->user.name = NULL;
	if (b->user.uid == 0) b->user.name = NULL; /* `user = root` */
	int error = own_directory(s->io, c->state.ptr, &b->user, true);
	if (error) return fail(EX_CANTCREAT, ret_what, c->state.ptr, ret_why, error);
	own_others(s->io, c, &b->user);
	if (!b->user.name) return 0;
	error = io_become(s->io, &b->user);
	if (error) return fail(EX_OSERR, ret_what, "user", ret_why, error);
	b->root = false;
	if (io_may(s->io, c->state.ptr, true)) return 0;
	*ret_what = c->state.ptr;
	*ret_why =
		"this directory belongs to another user than the one the server runs as; `chown -R` it";
	return EX_CANTCREAT;
}

static const char *what_is_missing(const struct server *s, const struct sandbox *b)
{
	const struct config *c = server_config(s);
	if (!c->sandbox) return "switched off";
	if (b->paths < 0) return "this kernel has no Landlock: every file of the user is in reach";
	if (b->calls < 0) return "this kernel has no seccomp: every system call is in reach";
	if (b->root && !c->user.len)
		return "root stays root: make a user rockdove, or name one with `user`";
	return NULL;
}

static void log_part(struct server *s, const char *key, int got)
{
	if (got >= 0)
		log_i64(s->log, key, got);
	else
		log_str(s->log, key, STR("off"));
}

static void log_sandbox(struct server *s, const struct sandbox *b)
{
	const char *missing = what_is_missing(s, b);
	log_begin(s->log, missing ? LOG_WARN : LOG_INFO, STR_NONE, "sandbox");
	if (b->user.name || b->root)
		log_str(s->log, "user", str_from_c(b->user.name ? b->user.name : "root"));
	log_part(s, "landlock", b->paths);
	log_part(s, "calls", b->calls);
	if (missing) log_str(s->log, "what", str_from_c(missing));
	log_end(s->log);
}

bool server_confine(struct server *s, int *ret_exit, const char **ret_what, const char **ret_why)
{
	struct sandbox *b = s->sandbox = calloc(1, sizeof *b);
	*ret_exit = fail(EX_OSERR, ret_what, "sandbox", ret_why, -ENOMEM);
	if (!b) return false;
	buf_init(&b->commands, COMMANDS_MAX);
	int code = become(s, b, ret_what, ret_why);
	if (code) return *ret_exit = code, false;
	b->paths = b->calls = -ENOSYS;
	if (server_config(s)->sandbox) {
		if (!grant_all(b, s->io, server_config(s))) return false;
		int error = start_warden(s, b);
		if (error) {
			*ret_exit = fail(EX_OSERR, ret_what, "token_command", ret_why, error);
			return false;
		}
		b->paths = io_confine_paths(s->io, b->grants, b->count);
		b->calls = io_confine_calls(s->io);
	}
	log_sandbox(s, b);
	return true;
}

/* ---- another configuration ---- */

static bool out_of_reach(const struct config_use *u, const char *path, struct buf *why)
{
	if (u->place.file) buf_printf(why, "%s:%u: ", u->place.file, u->place.line);
	buf_printf(
		why, "%s is out of the sandbox's reach; restart the server to have it used", path);
	return false;
}

static bool commands_reach(const struct sandbox *b, const struct config *c, struct buf *why)
{
	for (const struct route_rule *r = NULL; (r = next_with_command(c, r));) {
		if (is_known_command(b, r->token_command)) continue;
		buf_printf(why,
			STR_FMT
			": route \"" STR_FMT
			"\".token_command is out of the sandbox's reach; restart the server to have it used",
			STR_ARG(c->file), STR_ARG(r->name));
		return false;
	}
	return true;
}

bool server_reaches(struct server *s, const struct config *c, struct buf *why)
{
	const struct config *now = server_config(s);
	const struct sandbox *b = s->sandbox;
	if (!str_eq(c->state, now->state) || !str_eq(c->user, now->user) ||
		c->sandbox != now->sandbox) {
		buf_add(why, STR("`state`, `user` and `sandbox` change at a restart alone"));
		return false;
	}
	if (c->sandbox && !commands_reach(b, c, why)) return false;
	char path[PATH_OCTETS];
	if (b->paths < 0) return true;
	for (const struct config_use *u = c->uses; u; u = u->next) {
		if (to_grant(s->io, u->path, u->write, path) && !is_granted(b, path, u->write))
			return out_of_reach(u, path, why);
		if (!u->write && to_grant_behind(s->io, u->path, path) &&
			!is_granted(b, path, false))
			return out_of_reach(u, path, why);
	}
	return true;
}

void server_sandbox_free(struct server *s)
{
	struct sandbox *b = s->sandbox;
	if (!b) return;
	for (uint32_t i = 0; i < b->count; i++) free((char *)b->grants[i].path);
	buf_release(&b->commands);
	free(b->grants);
	free(b);
	s->sandbox = NULL;
}
