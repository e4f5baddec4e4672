/* Messages of the queue, and JSON, as people read them.  */
#ifndef CLI_SHOW_H
#define CLI_SHOW_H

#include "cli/ask.h"

/* A message with its recipients, as queue.list gives it.  */
void show_message(const json_t *message);
/* "4.1K".  */
void show_size(json_int_t octets, char *to, size_t room);
/* One document on standard output.  */
void show_json(const json_t *object);
/* Documents that come one by one, as one array: begin, each, end.  */
struct show_array {
	bool begun;
};
void show_array_add(struct show_array *a, const json_t *object);
void show_array_end(struct show_array *a);

#endif
