/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0 */
/*
 * socket_file.h - the socket behind a file descriptor of the current process.
 */
#ifndef RUNTIME_EVIDENCE_SOCKET_FILE_H
#define RUNTIME_EVIDENCE_SOCKET_FILE_H

/*
 * NULL when the descriptor is no open socket. The pointers are read without a lock, and another thread may
 * close the file meanwhile; the link back from socket to file tells a socket from memory that is something
 * else by now.
 */
static __always_inline struct sock *socket_of_descriptor(__s64 fd)
{
	struct task_struct *task = (void *)bpf_get_current_task();
	struct fdtable *table = BPF_CORE_READ(task, files, fdt);
	struct file **slots = BPF_CORE_READ(table, fd);
	struct file *file = NULL;
	struct socket *socket;

	if (fd < 0 || fd >= BPF_CORE_READ(table, max_fds) ||
	    bpf_probe_read_kernel(&file, sizeof(file), slots + fd) || !file)
		return NULL;
	socket = BPF_CORE_READ(file, private_data);
	if (BPF_CORE_READ(socket, file) != file)
		return NULL;
	return BPF_CORE_READ(socket, sk);
}

#endif
