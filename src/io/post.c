#include "io/linux.h"

#include <errno.h>

void io_post_init(struct io *io, struct io_post *post, void (*run)(struct io_post *post))
{
	*post = (struct io_post){.run = run, .io = io};
	list_init(&post->link);
}

static void wake(struct io *io)
{
	uint64_t one = 1;
	ssize_t written = write(io->wake, &one, sizeof one);
	ASSERT(written == sizeof one);
}

void io_post(struct io_post *post)
{
	struct io *io = post->io;
	pthread_mutex_lock(&io->lock);
	bool fresh = !post->posted;
	if (fresh) {
		post->posted = true;
		list_push_back(&io->posts, &post->link);
	}
	pthread_mutex_unlock(&io->lock);
	/* A loop that is awake looks by itself before it sleeps.  */
	if (fresh && atomic_exchange(&io->asleep, false)) wake(io);
}

void io_post_cancel(struct io_post *post)
{
	pthread_mutex_lock(&post->io->lock);
	post->posted = false;
	list_remove(&post->link);
	pthread_mutex_unlock(&post->io->lock);
}

bool linux_posts_waiting(struct io *io)
{
	pthread_mutex_lock(&io->lock);
	bool waiting = !list_empty(&io->posts);
	pthread_mutex_unlock(&io->lock);
	return waiting;
}

void linux_posts_run(struct io *io)
{
	struct list batch;
	pthread_mutex_lock(&io->lock);
	linux_take_all(&io->posts, &batch);
	for (struct list *node; (node = list_pop(&batch));) {
		struct io_post *post = CONTAINER_OF(node, struct io_post, link);
		post->posted = false;
		pthread_mutex_unlock(&io->lock);
		post->run(post);
		pthread_mutex_lock(&io->lock);
	}
	pthread_mutex_unlock(&io->lock);
}
