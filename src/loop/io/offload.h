/* What the io layer may ask of the offload pool beside an_offload(). L3. */
#ifndef AN_LOOP_IO_OFFLOAD_H
#define AN_LOOP_IO_OFFLOAD_H

/* Runs fn(arg) on a worker with nobody waiting for it; the loop does not end before. For
 * what is left to do when its owner has gone. Never suspends. Returns 0, and `arg` is
 * fn's; -EAGAIN when the queue is full or no thread could be started, -ENOMEM,
 * AN_ERR_NO_TASK without a loop: fn will not run. */
int an__offload_detached(int (*fn)(void *arg), void *arg);

#endif
