/*
 * tasks: what the kinds of regions need to know of threads beyond the public list. Private to proc.
 */
#ifndef LEAKHUNT_PROC_TASKS_H
#define LEAKHUNT_PROC_TASKS_H

#include "process.h"

/* An address within the thread's control block; 0 when it has none (a raw clone) or we may not ask. */
uint64_t lh_task_control_block(pid_t tid);

#endif
