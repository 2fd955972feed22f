// SPDX-License-Identifier: GPL-2.0

module burrowbench

go 1.27
