/* Gives a target the inputs that its arguments name, files or whole folders, once each.  It needs
 * no clang: under gcc's sanitizers it is how ./dev test replays the corpora.  */
#include "fuzz/fuzz.h"

#include <dirent.h>
#include <stdio.h>
#include <sys/stat.h>

enum { INPUT_MAX = 1 << 20 };

static unsigned replayed;

static void replay_file(const char *path)
{
	static char octets[INPUT_MAX];
	FILE *file = fopen(path, "rb");
	if (!file) {
		perror(path);
		exit(1);
	}
	size_t len = fread(octets, 1, sizeof(octets), file);
	fclose(file);
	struct str in = fuzz_own(str_of(octets, len));
	fuzz_one(in);
	fuzz_forget(in);
	replayed++;
}

static void replay(const char *path)
{
	struct stat what;
	if (stat(path, &what) != 0 || !S_ISDIR(what.st_mode)) {
		replay_file(path);
		return;
	}
	struct dirent **names;
	int count = scandir(path, &names, NULL, alphasort);
	for (int i = 0; i < count; i++) {
		char inside[4096];
		snprintf(inside, sizeof(inside), "%s/%s", path, names[i]->d_name);
		if (names[i]->d_name[0] != '.') replay_file(inside);
		free(names[i]);
	}
	if (count >= 0) free(names);
}

int main(int argc, char **argv)
{
	for (int i = 1; i < argc; i++) replay(argv[i]);
	printf("%u inputs replayed\n", replayed);
	return replayed ? 0 : 1;
}
