// SPDX-License-Identifier: GPL-2.0
/*
 * A context is one open of the device: it owns an address space, arenas, a
 * pool, counters and its share of the limits. This file opens and releases
 * contexts and takes their ioctls apart; what a call does is elsewhere.
 *
 * Only the mm that opened may use a context. It is held by mmgrab(), so that
 * it can be compared for as long as the descriptor lives, wherever it went.
 *
 * The address space is that of an anonymous inode of the context's own, on a
 * private pseudo file system (the way of the DRM core): unmapping and dirty
 * harvest key on it, and so do shared futexes, so that no context can hit
 * another through the device's one inode.
 */
#include <linux/mount.h>
#include <linux/pseudo_fs.h>
#include <linux/sched/mm.h>
#include <linux/uaccess.h>

#include "burrow.h"

#define BURROW_FS_MAGIC 0x42555257 /* "BURW" */

#define BURROW_FEATURES                                                      \
	(BURROW_FEATURE_STACK | BURROW_FEATURE_HEAP | BURROW_FEATURE_DIRTY | \
	 BURROW_FEATURE_LAZY | BURROW_FEATURE_HIBERNATE |                    \
	 BURROW_FEATURE_PGTABLES)

/* Mounted while there are contexts: a mount holds the module. */
static struct vfsmount *burrow_mount;
static int burrow_mount_count;

/* Users that have contexts, and how many each has. */
static DEFINE_MUTEX(burrow_users_lock);
static LIST_HEAD(burrow_users);

static struct burrow_user *burrow_user_get(kuid_t uid)
{
	struct burrow_user *user;

	mutex_lock(&burrow_users_lock);
	list_for_each_entry(user, &burrow_users, node) {
		if (uid_eq(user->uid, uid)) {
			user->refs++;
			goto out;
		}
	}
	user = kzalloc(sizeof(*user), GFP_KERNEL_ACCOUNT);
	if (user) {
		user->uid = uid;
		user->refs = 1;
		list_add(&user->node, &burrow_users);
	}
out:
	mutex_unlock(&burrow_users_lock);
	return user;
}

static void burrow_user_put(struct burrow_user *user)
{
	mutex_lock(&burrow_users_lock);
	if (!--user->refs) {
		WARN_ON_ONCE(atomic_long_read(&user->pages));
		list_del(&user->node);
		kfree(user);
	}
	mutex_unlock(&burrow_users_lock);
}

static int burrow_fs_init_context(struct fs_context *fc)
{
	return init_pseudo(fc, BURROW_FS_MAGIC) ? 0 : -ENOMEM;
}

static struct file_system_type burrow_fs = {
	.name = "burrow",
	.owner = THIS_MODULE,
	.init_fs_context = burrow_fs_init_context,
	.kill_sb = kill_anon_super,
};

static int burrow_inode_open(struct burrow_context *ctx)
{
	struct inode *inode;
	int err;

	err = simple_pin_fs(&burrow_fs, &burrow_mount, &burrow_mount_count);
	if (err)
		return err;
	inode = alloc_anon_inode(burrow_mount->mnt_sb);
	if (IS_ERR(inode)) {
		simple_release_fs(&burrow_mount, &burrow_mount_count);
		return PTR_ERR(inode);
	}
	inode->i_private = ctx;
	inode->i_mapping->a_ops = &burrow_block_aops;
	ctx->inode = inode;
	return 0;
}

static void burrow_inode_close(struct burrow_context *ctx)
{
	iput(ctx->inode);
	simple_release_fs(&burrow_mount, &burrow_mount_count);
}

static int burrow_context_open(struct inode *inode, struct file *file)
{
	struct burrow_context *ctx;
	int err;

	if (!current->mm)
		return -EINVAL;
	ctx = kzalloc(sizeof(*ctx), GFP_KERNEL_ACCOUNT);
	if (!ctx)
		return -ENOMEM;
	ctx->mm = current->mm;
	ctx->pid = task_tgid_nr(current);
	mutex_init(&ctx->lock);
	mutex_init(&ctx->remap.lock);
	spin_lock_init(&ctx->pool.lock);
	burrow_lazy_open(ctx);
	burrow_store_open(ctx);

	err = -ENOMEM;
	ctx->user = burrow_user_get(current_uid());
	if (!ctx->user)
		goto out_free;
	err = burrow_stats_open(ctx);
	if (err)
		goto out_user;
	err = burrow_inode_open(ctx);
	if (err)
		goto out_stats;
	err = burrow_shrink_open(ctx);
	if (err)
		goto out_inode;

	mmgrab(ctx->mm);
	file->private_data = ctx;
	file->f_mapping = ctx->inode->i_mapping;
	return nonseekable_open(inode, file);

out_inode:
	burrow_inode_close(ctx);
out_stats:
	burrow_stats_close(ctx);
out_user:
	burrow_user_put(ctx->user);
out_free:
	kfree(ctx);
	return err;
}

/* Called once no descriptor and no mapping is left. */
static int burrow_context_release(struct inode *inode, struct file *file)
{
	struct burrow_context *ctx = file->private_data;

	burrow_arena_release_all(ctx);
	burrow_dump_close(ctx);
	burrow_shrink_close(ctx);
	burrow_pool_drain(ctx);
	WARN_ON_ONCE(atomic_long_read(&ctx->pages));
	/* The core reads f_mapping after this; the inode goes with us. */
	file->f_mapping = inode->i_mapping;
	burrow_inode_close(ctx);
	burrow_stats_close(ctx);
	burrow_user_put(ctx->user);
	mmdrop(ctx->mm);
	kfree(ctx);
	return 0;
}

static int burrow_context_mmap(struct file *file, struct vm_area_struct *vma)
{
	struct burrow_context *ctx = file->private_data;

	if (vma->vm_mm != ctx->mm)
		return -EPERM;
	if (!READ_ONCE(ctx->ready))
		return -EPROTO;
	return burrow_arena_mmap(ctx, vma);
}

static unsigned long burrow_context_area(struct file *file, unsigned long addr,
					 unsigned long len, unsigned long pgoff,
					 unsigned long flags)
{
	unsigned long ours = burrow_pgtable_area(file->private_data, addr);

	return ours ?: burrow_unmapped_area(file, addr, len, pgoff, flags);
}

static long burrow_context_version(struct burrow_context *ctx,
				   struct burrow_version *args)
{
	u64 wanted = args->features;
	u32 abi = args->abi;

	args->abi = BURROW_ABI;
	args->page_size = PAGE_SIZE;
	args->features = BURROW_FEATURES;
	args->context_limit = READ_ONCE(burrow_context_limit);
	args->user_limit = READ_ONCE(burrow_user_limit);
	args->pool_limit = READ_ONCE(burrow_pool_limit);
	strscpy(args->release, BURROW_RELEASE, sizeof(args->release));
	if (abi != BURROW_ABI)
		return -EPROTONOSUPPORT;
	if (wanted & ~BURROW_FEATURES)
		return -EOPNOTSUPP;
	WRITE_ONCE(ctx->ready, true);
	return 0;
}

/*
 * Every call is taken apart the same way: the struct in, as much of it as the
 * caller has; the call; the struct out, whatever the call said, since the
 * progress of a batch is told with its error too.
 */
union burrow_args {
	struct {
		u32 size;
		u32 flags;
	};
	struct burrow_version version;
	struct burrow_arena_create create;
	struct burrow_arena_destroy destroy;
	struct burrow_trim trim;
	struct burrow_slot_info info;
	struct burrow_dirty dirty;
	struct burrow_release release;
	struct burrow_context_stats stats;
	struct burrow_hibernate hibernate;
	struct burrow_saved saved;
	struct burrow_pgtables pgtables;
	struct burrow_restored restored;
};

struct burrow_call {
	u32 size; /* of the struct as we know it */
	u32 least; /* of its first version, where it has grown since */
	u32 flags; /* known ones */
};

static const struct burrow_call burrow_calls[] = {
	[_IOC_NR(BURROW_IOC_VERSION)] = { .size = sizeof(
						  struct burrow_version) },
	[_IOC_NR(BURROW_IOC_ARENA_CREATE)] = { .size = sizeof(
						       struct burrow_arena_create),
					       .flags = BURROW_ARENA_ZERO |
							BURROW_ARENA_DUMP },
	[_IOC_NR(BURROW_IOC_ARENA_DESTROY)] = { .size = sizeof(
							struct burrow_arena_destroy) },
	[_IOC_NR(BURROW_IOC_TRIM)] = { .size = sizeof(struct burrow_trim),
				       .flags = BURROW_TRIM_LAZY },
	[_IOC_NR(BURROW_IOC_SLOT_INFO)] = { .size = sizeof(
						    struct burrow_slot_info) },
	[_IOC_NR(BURROW_IOC_DIRTY)] = { .size = sizeof(struct burrow_dirty) },
	[_IOC_NR(BURROW_IOC_RELEASE)] = { .size = sizeof(
						  struct burrow_release) },
	[_IOC_NR(BURROW_IOC_STATS)] = { .size = sizeof(
						struct burrow_context_stats),
					.least = offsetofend(
						struct burrow_context_stats,
						user_bytes),
					.flags = BURROW_STATS_DRAIN },
	[_IOC_NR(BURROW_IOC_HIBERNATE)] = { .size = sizeof(
						    struct burrow_hibernate) },
	[_IOC_NR(BURROW_IOC_SAVED)] = { .size = sizeof(struct burrow_saved),
					.flags = BURROW_SAVED_NOTE |
						 BURROW_SAVED_NEW },
	[_IOC_NR(BURROW_IOC_PGTABLES)] = { .size = sizeof(
						   struct burrow_pgtables) },
	[_IOC_NR(BURROW_IOC_RESTORED)] = { .size = sizeof(
						   struct burrow_restored) },
};

static long burrow_context_call(struct file *file, unsigned int nr,
				union burrow_args *args)
{
	struct burrow_context *ctx = file->private_data;

	switch (nr) {
	case _IOC_NR(BURROW_IOC_VERSION):
		return burrow_context_version(ctx, &args->version);
	case _IOC_NR(BURROW_IOC_ARENA_CREATE):
		return burrow_arena_create(ctx, &args->create);
	case _IOC_NR(BURROW_IOC_ARENA_DESTROY):
		if (args->destroy.pad)
			return -EINVAL;
		return burrow_arena_destroy(ctx, args->destroy.arena);
	case _IOC_NR(BURROW_IOC_TRIM):
		return burrow_trim(ctx, &args->trim);
	case _IOC_NR(BURROW_IOC_SLOT_INFO):
		return burrow_stack_info(ctx, &args->info);
	case _IOC_NR(BURROW_IOC_DIRTY):
		return burrow_dirty(ctx, &args->dirty);
	case _IOC_NR(BURROW_IOC_RELEASE):
		return burrow_heap_release(ctx, &args->release);
	case _IOC_NR(BURROW_IOC_STATS):
		if (args->flags & BURROW_STATS_DRAIN) {
			burrow_lazy_take(ctx, NULL, NULL, ULONG_MAX);
			burrow_pool_drain(ctx);
		}
		burrow_stats_fill(ctx, &args->stats);
		return 0;
	case _IOC_NR(BURROW_IOC_HIBERNATE):
		return burrow_hibernate(ctx, &args->hibernate);
	case _IOC_NR(BURROW_IOC_SAVED):
		return burrow_saved(ctx, &args->saved);
	case _IOC_NR(BURROW_IOC_PGTABLES):
		return burrow_pgtables(ctx, file, &args->pgtables);
	case _IOC_NR(BURROW_IOC_RESTORED):
		return burrow_restored(ctx, &args->restored);
	}
	return -ENOTTY;
}

static long burrow_context_ioctl(struct file *file, unsigned int cmd,
				 unsigned long arg)
{
	struct burrow_context *ctx = file->private_data;
	unsigned int nr = _IOC_NR(cmd);
	void __user *user = (void __user *)arg;
	const struct burrow_call *call;
	union burrow_args args = {};
	long ret;
	u32 size;

	if (_IOC_TYPE(cmd) != BURROW_IOC_MAGIC ||
	    _IOC_DIR(cmd) != (_IOC_READ | _IOC_WRITE) ||
	    nr >= ARRAY_SIZE(burrow_calls) || !burrow_calls[nr].size)
		return -ENOTTY;
	if (current->mm != ctx->mm)
		return -EPERM;
	call = &burrow_calls[nr];
	if (nr != _IOC_NR(BURROW_IOC_VERSION) && !READ_ONCE(ctx->ready))
		return -EPROTO;
	if (get_user(size, (u32 __user *)user))
		return -EFAULT;
	if (size < (call->least ?: call->size))
		return -EINVAL;
	if (size > PAGE_SIZE)
		return -E2BIG;
	ret = copy_struct_from_user(&args, call->size, user, size);
	if (ret)
		return ret;
	args.size = size;
	if (args.flags & ~call->flags)
		return -EINVAL;

	ret = burrow_context_call(file, nr, &args);
	if (copy_to_user(user, &args, min(size, call->size)) && !ret)
		ret = -EFAULT;
	return ret;
}

const struct file_operations burrow_context_fops = {
	.owner = THIS_MODULE,
	.open = burrow_context_open,
	.release = burrow_context_release,
	.mmap = burrow_context_mmap,
	.get_unmapped_area = burrow_context_area,
	.unlocked_ioctl = burrow_context_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
};
