// SPDX-License-Identifier: GPL-2.0

module burrowpeer

go 1.18
