"""Check every kernel of src/nn/nvidia against PyTorch on the card, odd sizes included, then time it beside PyTorch's own.

    python3 bench/nvidia_kernels.py PTX_FOLDER [check|time|all|small] [gemm,heads,eight,quantise,attention,rows,images,map,unpack]

small: only sizes that compute-sanitizer gets through in a minute:

    compute-sanitizer --tool racecheck --kernel-name-exclude kns=_ZN python3 bench/nvidia_kernels.py PTX_FOLDER small

Needs PyTorch and nothing else: the driver is called through ctypes, the kernels' structs are read from kernels.h.
Exit status 1 when a kernel is wrong."""
import ctypes as C
import math
import os
import random
import re
import struct
import sys
import time

import torch
import torch.nn.functional as F

HERE = os.path.dirname(os.path.abspath(__file__))
HEADER = os.environ.get("KERNELS_H", os.path.join(HERE, "../src/nn/nvidia/kernels.h"))
DEV, BF, F32 = "cuda", torch.bfloat16, torch.float32
I8, F8 = torch.int8, torch.float8_e4m3fn
TYPES = {F32: 0, BF: 1, torch.float16: 2, torch.int32: 3, torch.float64: 4, I8: 5, F8: 6}
LOG2E = 1.4426950408889634


# ---- kernels.h --------------------------------------------------------------------------------------
def read_header():
    text = re.sub(r"/\*.*?\*/", "", open(HEADER).read(), flags=re.S)
    enums = {}
    for body in re.findall(r"enum \w+ \{(.*?)\};", text, re.S):
        for i, name in enumerate(n.strip() for n in body.split(",") if n.strip()):
            enums[name] = i
    structs = {}
    basic = {"int": C.c_int32, "float": C.c_float, "long long": C.c_int64, "unsigned char": C.c_ubyte}
    for name, body in re.findall(r"^struct (\w+) \{(.*?)^\}", text, re.S | re.M):
        fields = []
        for line in body.split(";"):
            line = " ".join(line.split())
            if not line:
                continue
            m = re.match(r"(?:const )?(struct \w+|void|int|float|double|long long|unsigned char) ?(.*)", line)
            for item in m[2].split(","):
                item = item.strip()
                if item.startswith("*"):
                    kind, item = C.c_uint64, item.lstrip("* ")
                elif m[1].startswith("struct "):
                    kind = structs[m[1].split()[1]]
                else:
                    kind = basic[m[1]]
                array = re.match(r"(\w+)\[(\d+)\]", item)
                fields.append((array[1], kind * int(array[2])) if array else (item, kind))
        structs[name] = type(name, (C.Structure,), {"_fields_": fields})
    table = {}
    for module, name, arch, struct, threads, shared in re.findall(
            r"NV_KERNEL\((\w+), (\w+), (\d+), (\w+), (\d+),[\s\\]*([^\\\n]*)\)\s*\\?\n", text):
        table[name] = (module, structs[struct], int(threads), eval(shared))
    return enums, structs, table


ENUM, STRUCT, TABLE = read_header()

# ---- the driver -------------------------------------------------------------------------------------
cuda = C.CDLL("libcuda.so.1")
torch.zeros(1, device=DEV)


def ck(r):
    if r:
        s = C.c_char_p()
        cuda.cuGetErrorString(r, C.byref(s))
        raise RuntimeError((s.value or b"?").decode())


MODULES, FUNCTIONS = {}, {}


def function(name):
    if name not in FUNCTIONS:
        module = TABLE[name][0]
        if module not in MODULES:
            m, t = C.c_void_p(), time.time()
            ck(cuda.cuModuleLoadData(C.byref(m), open(f"{sys.argv[1]}/{module}.ptx", "rb").read() + b"\0"))
            MODULES[module] = m
            print(f"  {module}: compiled by the driver in {time.time() - t:.2f} s", flush=True)
        f = C.c_void_p()
        ck(cuda.cuModuleGetFunction(C.byref(f), MODULES[module], name.encode()))
        ck(cuda.cuFuncSetAttribute(f, 8, TABLE[name][3]))
        v = C.c_int()
        info = []
        for what, attribute in (("registers", 4), ("local bytes", 3), ("static shared", 1)):
            ck(cuda.cuFuncGetAttribute(C.byref(v), attribute, f))
            info.append(f"{v.value} {what}")
        print(f"  {name}: {', '.join(info)}", flush=True)
        FUNCTIONS[name] = f
    return FUNCTIONS[name]


def launch(name, grid, params):
    f = function(name)
    grid = (list(grid) + [1, 1])[:3]
    room = (C.c_ubyte * 4096)()  # the driver reads whole structs, with what the alignment of maps adds at their end
    C.memmove(room, C.addressof(params), C.sizeof(params))
    p = (C.c_void_p * 1)(C.addressof(room))
    ck(cuda.cuLaunchKernel(f, *[C.c_uint(g) for g in grid], C.c_uint(TABLE[name][2]), 1, 1, C.c_uint(TABLE[name][3]),
                           C.c_void_p(torch.cuda.current_stream().cuda_stream), p, None))


def tensor_map(base, dims, strides, box, steps=(1, 1, 1), bytes=2):
    """dims innermost first, strides in elements of dims 1.., of bf16, float32 or single bytes, 128-byte swizzle."""
    m = STRUCT["nv_tensor_map"]()
    buf = (C.c_ubyte * 192)()
    at = C.addressof(buf)
    at += -at % 64
    n = len(dims)
    ck(cuda.cuTensorMapEncodeTiled(C.c_void_p(at), {1: 0, 2: 9, 4: 7}[bytes], n, C.c_void_p(base), (C.c_uint64 * n)(*dims),
                                   (C.c_uint64 * (n - 1))(*[s * bytes for s in strides]), (C.c_uint32 * n)(*box),
                                   (C.c_uint32 * n)(*steps[:n]), 0, 3, 2, 0))
    C.memmove(C.addressof(m), at, 128)
    return m


def ptr(t):
    return 0 if t is None else t.data_ptr()


def ms(f, n=10, repeat=10):
    """Milliseconds a call, of calls that wait for nothing but each other: recorded once, replayed."""
    f()
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        for _ in range(repeat):
            f()
    graph.replay()
    torch.cuda.synchronize()
    times = []
    for _ in range(n):
        a, b = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        a.record()
        graph.replay()
        b.record()
        b.synchronize()
        times.append(a.elapsed_time(b) / repeat)
    return sorted(times)[n // 2]


WRONG = []
MODE = sys.argv[2] if len(sys.argv) > 2 else "all"


def skipped(work):
    """Whether so many multiplications are too many for this run."""
    return MODE == "small" and work > 4e7


def check(what, got, want, bound):
    got, want = got.double(), want.double()
    e = ((got - want).norm() / want.norm().clamp_min(1e-30)).item()
    ok = math.isfinite(e) and e <= bound and bool(torch.isfinite(got).all())
    print(f"  {'ok   ' if ok else 'WRONG'} {what}: {e:.1e} (at most {bound:.0e})", flush=True)
    if not ok:
        WRONG.append(what)


def rand(*shape, dtype=BF, scale=1.0):
    return (torch.randn(*shape, device=DEV) * scale).to(dtype)


def nan(*shape, dtype=BF):
    return torch.full(shape, float("nan"), device=DEV, dtype=dtype)


def ceil(a, b):
    return -(-a // b)


# ---- products ---------------------------------------------------------------------------------------
def gemm_params(x, w, y, w2=None, bias=None, bias2=None, row_scales=None, gate=None, residual=None, scale=1.0, act="NONE",
                x_scales=None, row_scales2=None):
    return STRUCT["nv_gemm"](x_scales=ptr(x_scales), ld_scales=1, x=ptr(x), w=ptr(w), w2=ptr(w2), bias=ptr(bias), bias2=ptr(bias2), row_scales=ptr(row_scales),
                             row_scales2=ptr(row_scales if row_scales2 is None else row_scales2), gate=ptr(gate), residual=ptr(residual), y=ptr(y), ldx=x.stride(0),
                             ldw=w.stride(0), ldy=y.stride(0), ldr=residual.stride(0) if residual is not None else 0, m=x.shape[0],
                             n=w.shape[0], k=x.shape[1], scale=scale, act=ENUM["NV_ACT_" + act], x_type=TYPES[x.dtype],
                             w_type=TYPES[w.dtype], y_type=TYPES[y.dtype], residual_type=TYPES[residual.dtype] if residual is not None else 0)


TICKETS = None


def gemm(kind, x, w, y, shared=False, **o):
    global TICKETS
    g = gemm_params(x, w, y, **o)
    if shared:
        if TICKETS is None:
            TICKETS = torch.zeros(1 << 16, dtype=torch.int32, device=DEV)
        g.tickets = ptr(TICKETS)
    m, n, swiglu = g.m, g.n, o.get("act") == "SWIGLU"
    if kind == "gemm":
        launch("gemm_bf16_swiglu" if swiglu else "gemm_bf16", [ceil(m, 128) * ceil(n, 64 if swiglu else 128)], g)
    elif kind == "wide":
        launch("gemm_bf16_wide_swiglu" if swiglu else "gemm_bf16_wide", [ceil(m, 128) * ceil(n, 128 if swiglu else 256)], g)
    elif kind == "exact":
        launch("gemm_exact", [ceil(m, 64), ceil(n, 64)], g)
    elif kind == "gemv":
        launch("gemv", [ceil(n, 8)], g)
    elif kind == "s8":
        launch("gemm_s8_swiglu" if swiglu else "gemm_s8", [ceil(m, 128) * ceil(n, 64 if swiglu else 128)], g)
    else:
        one = x.element_size()
        wm = tensor_map(ptr(w), [g.k, n], [g.ldw], [128 // one, 64], bytes=one)
        p = STRUCT["nv_gemm_tma"](x_map=tensor_map(ptr(x), [g.k, m], [g.ldx], [128 // one, 128], bytes=one), w_map=wm,
                                  w2_map=tensor_map(ptr(o["w2"]), [g.k, n], [g.ldw], [128 // one, 64], bytes=one) if swiglu else wm, g=g)
        if o.get("residual") is y:
            p.y_map = tensor_map(ptr(y), [n, m], [g.ldy], [32, 64], bytes=4)
        word, width = re.match(r"tma(s8_|f8_|)(\d+)", kind).groups()
        width = 128 if swiglu else int(width)
        launch(f"gemm_tma_{word}" + ("swiglu" if swiglu else str(width)), [132 if shared else pairs(m, ceil(n, width))], p)


def pairs(m, tiles):
    return 2 * min(66, ceil(m, 256) * tiles)


def heads(x, parts, cos, sin, rotate_pairs, eps=1e-6, x_scales=None, row_scales=(None, None, None)):
    """parts: (w [n, k], bias, norm, y [tokens, heads, 128], rotate)"""
    one = x.element_size()
    p = STRUCT["nv_gemm_heads_tma"](x_map=tensor_map(ptr(x), [x.shape[1], x.shape[0]], [x.stride(0)], [128 // one, 128], bytes=one),
                                    cos=ptr(cos), sin=ptr(sin), x_scales=ptr(x_scales), ld_scales=1, ld_table=64, m=x.shape[0], k=x.shape[1], pairs=rotate_pairs, eps=eps)
    for i, (w, bias, norm_weight, y, rotate) in enumerate(parts):
        p.w_map[i] = tensor_map(ptr(w), [w.shape[1], w.shape[0]], [w.stride(0)], [128 // one, 64], bytes=one)
        p.part[i] = STRUCT["nv_heads"](row_scales=ptr(row_scales[i]), bias=ptr(bias), norm=ptr(norm_weight), y=ptr(y), y_token=y.stride(0), y_head=y.stride(1), n=w.shape[0],
                                       rotate=rotate)
    launch("gemm_tma_heads" + {I8: "_s8", F8: "_f8"}.get(x.dtype, ""), [pairs(x.shape[0], sum(ceil(p[0].shape[0], 256) for p in parts))], p)


def check_heads():
    print("heads")
    for m, k, h, kv in ((1, 64, 1, 1), (300, 264, 5, 2), (512, 2560, 32, 8)):
        if skipped(m * k * h * 128):
            continue
        x, c = rand(m, k), rand(m, 64, dtype=F32) * 3
        for rotate_pairs in (0, 1):
            parts, want = [], []
            for n, rotate in ((h, 1), (kv, 1), (kv, 0)):
                w, b, g = rand(n * 128, k, scale=k ** -0.5), rand(n * 128, dtype=F32), rand(128, dtype=F32)
                y = nan(n, m, 128).transpose(0, 1) if rotate else nan(m, n, 128)
                r = (x.double() @ w.double().T + b).reshape(m, n, 128)
                if rotate:
                    r = r * (r.square().mean(-1, keepdim=True) + 1e-6).rsqrt() * g
                    co, si = c.double().cos()[:, None], c.double().sin()[:, None]
                    p, q = (r[..., 0::2], r[..., 1::2]) if rotate_pairs else (r[..., :64], r[..., 64:])
                    r = torch.stack((p * co - q * si, q * co + p * si), -1).flatten(-2) if rotate_pairs else torch.cat((p * co - q * si, q * co + p * si), -1)
                parts.append((w, b, g if rotate else None, y, rotate))
                want.append(r)
            cos, sin = c.cos(), c.sin()
            heads(x, parts, cos, sin, rotate_pairs)
            for name, part, r in zip("qkv", parts, want):
                check(f"{name} of {m} x {k}, {h} and {kv} heads, pairs {rotate_pairs}", part[3], r, 3e-3)


def gemm_reference(x, w, w2=None, bias=None, bias2=None, row_scales=None, gate=None, residual=None, scale=1.0, act="NONE", x_scales=None,
                   row_scales2=None):
    def one(w, bias, row_scales=row_scales):
        s = x.double() @ w.double().T * scale
        s = s * x_scales[:, None] if x_scales is not None else s
        s = s * row_scales if row_scales is not None else s
        return s + bias if bias is not None else s
    s = one(w, bias)
    if act == "SILU":
        s = F.silu(s)
    elif act == "GELU_TANH":
        s = F.gelu(s, approximate="tanh")
    elif act == "SWIGLU":
        s = F.silu(s) * one(w2, bias2, row_scales if row_scales2 is None else row_scales2)
    s = s * gate if gate is not None else s
    return s + residual if residual is not None else s


def check_gemm():
    print("products")
    for kind, sizes in (("gemm", [(1, 8, 8), (77, 136, 264), (130, 248, 1000), (512, 3072, 3072), (4609, 520, 72)]),
                        *((t, [(1, 8, 8), (77, 136, 264), (130, 248, 1000), (512, 3072, 3072), (4609, 520, 72)]) for t in ("wide", "tma256", "tma192", "tma128")),
                        ("exact", [(1, 1, 1), (7, 13, 5), (130, 67, 333)]), ("gemv", [(1, 1, 1), (3, 77, 129), (8, 1000, 3072)])):
        for m, n, k in sizes:
            if skipped(m * n * k):
                continue
            for dtype in ([BF] if kind in ("gemm", "wide") or kind[:3] == "tma" else [F32, BF]):
                x, w, w2 = rand(m, k, dtype=dtype), rand(n, k, dtype=dtype, scale=k ** -0.5), rand(n, k, dtype=dtype, scale=k ** -0.5)
                bias, gate, rows, res = rand(n, dtype=F32), rand(n, dtype=F32), rand(n, dtype=F32), rand(m, n, dtype=F32)
                bias2 = rand(n, dtype=F32)
                for o in ({}, dict(bias=bias, act="GELU_TANH"), dict(bias=bias, gate=gate, residual=res, row_scales=rows, scale=0.5),
                          dict(act="SILU", bias=bias), dict(w2=w2, act="SWIGLU", bias=bias, bias2=bias2)):
                    for out in ((F32, BF) if n % 2 == 0 else (F32,)):
                        y = nan(m, n, dtype=out)
                        gemm(kind, x, w, y, **o)
                        check(f"{kind} {m} x {n} x {k} {str(dtype)[6:]} {' '.join(sorted(o))} {o.get('act', '')} -> {str(out)[6:]}", y,
                              gemm_reference(x, w, **o), 3e-3 if out == BF else 1e-5)
        x, w, res = rand(64, 256), rand(128, 256), rand(64, 128, dtype=F32)
        if kind == "gemv":
            x, res = x[:4], res[:4].clone()
        y = res.clone()
        gemm(kind, x, w, y, residual=y)
        check(f"{kind} in place", y, gemm_reference(x, w, residual=res), 3e-6)
        if kind[:3] == "tma":
            for m, n, k in ((1, 8, 8), (64, 128, 256), (300, 520, 1000), (512, 3072, 3072), (4608, 3072, 3072)):
                if skipped(m * n * k):
                    continue
                a, v, base = rand(m, k), rand(n, k, scale=k ** -0.5), rand(m, n, dtype=F32)
                bias, gate = rand(n, dtype=F32), rand(n, dtype=F32)
                got = []
                for _ in range(3):
                    y = base.clone()
                    gemm(kind, a, v, y, residual=y, bias=bias, gate=gate, shared=True)
                    got.append(y)
                check(f"{kind} shared {m} x {n} x {k}", y, gemm_reference(a, v, residual=base, bias=bias, gate=gate), 1e-5)
                check(f"{kind} shared: repeats to the bit, tickets are zero", (got[0] != got[1]).sum() + (got[0] != got[2]).sum() + TICKETS.abs().sum() + 1,
                      torch.ones((), device=DEV), 0)
        wide = nan(x.shape[0], 300, dtype=BF)
        gemm(kind, x, w, wide[:, 100:228])
        check(f"{kind} into a wider matrix", wide[:, 100:228], gemm_reference(x, w), 3e-3)


def time_gemm():
    for m, n, k in ((4608, 3072, 3072), (4608, 18432, 3072), (4608, 3072, 12288), (512, 3072, 3072), (512, 9728, 2560), (1536, 9216, 3072)):
        x, w, y = rand(m, k), rand(n, k), nan(m, n)
        rate = lambda t: f"{2 * m * n * k / t / 1e9:.0f}"
        line = f"  {m} x {n} x {k}: cuBLAS {rate(ms(lambda: x @ w.T))}"
        for kind in ("gemm", "wide", "tma256", "tma192", "tma128"):
            line += f", {kind} {rate(ms(lambda: gemm(kind, x, w, y)))}"
        gate, res = rand(n, dtype=F32), rand(m, n, dtype=F32)
        line += f"; in place with gate: " + ", ".join(f"{t} {rate(ms(lambda: gemm(t, x, w, res, gate=gate, residual=res)))} shared "
                                                   f"{rate(ms(lambda: gemm(t, x, w, res, gate=gate, residual=res, shared=True)))}" for t in ("tma256", "tma128"))
        h = n // 2
        z = nan(m, h)
        for kind in ("gemm", "wide", "tma256"):
            line += f", {kind} swiglu {rate(ms(lambda: gemm(kind, x, w[:h], z, w2=w[h:], act='SWIGLU')))}"
        print(line + " TFLOP/s", flush=True)
    for m, k, h in ((4608, 3072, 24), (512, 2560, 32)):
        x, c, g = rand(m, k), rand(m, 64, dtype=F32), rand(128, dtype=F32)
        parts = [(rand(h * 128, k), None, g if i < 2 else None, nan(h, m, 128).transpose(0, 1), i < 2) for i in range(3)]
        t = ms(lambda: heads(x, parts, c, c, 1))
        print(f"  q, k and v of {m} x {k}, {h} heads, normed and rotated: {3 * 2 * m * k * h * 128 / t / 1e9:.0f} TFLOP/s")
    x, w, y = rand(1, 3072, dtype=F32), rand(18432, 3072), nan(1, 18432, dtype=F32)
    t = ms(lambda: gemm("gemv", x, w, y))
    print(f"  gemv 18432 x 3072: {t * 1e3:.0f} us, {w.numel() * 2 / t / 1e6:.0f} GB/s")


# ---- attention --------------------------------------------------------------------------------------
# ---- rows to 8 bits -----------------------------------------------------------------------------------
def half_steps(x, q, scales):
    """How far q times scales is from x, in half steps of q: at most 1."""
    step = scales[:, None].double().clamp_min(1e-30)
    if q.dtype == F8:  # 3 bits behind the first; below 2^-6 steps of 2^-9
        step = step * torch.exp2(((x.double() / step).abs().log2().floor() - 3).clamp_min(-9))
    return ((x.double() - q.double() * scales[:, None].double()).abs() / (step / 2)).max().item()


def quantise(x, q, scales):
    launch("quantise_rows", [x.shape[0]], STRUCT["nv_quantise"](x=ptr(x), y=ptr(q), scales=ptr(scales), ldx=x.stride(0), ldy=q.stride(0), ld_scales=1,
           rows=x.shape[0], dim=x.shape[1], x_type=TYPES[x.dtype], y_type=TYPES[q.dtype]))


def check_quantise():
    print("rows to 8 bits")
    for n, d in ((1, 16), (3, 37), (9, 3072), (7, 4096), (5, 12288), (3, 18944), (2, 20488), (2, 36864)):
        for dtype in (BF, F32, torch.float16):
            for kind, limit in ((I8, 127), (F8, 448)):
                x = rand(n, d, dtype=dtype) * torch.rand(n, 1, device=DEV, dtype=F32).exp2().to(dtype)
                x[n // 2] = 0 if n > 2 else x[n // 2]
                q, s = torch.empty(n, d, device=DEV, dtype=torch.uint8).view(kind), nan(n, dtype=F32)
                quantise(x, q, s)
                check(f"scales of {n} x {d} {dtype} {kind}", s, x.double().abs().amax(-1) / limit, 3e-7)
                worst = half_steps(x, q, s)
                print(f"  {'ok' if worst < 1.001 else 'WRONG'} {n} x {d} {dtype} {kind}: {worst:.4f} half steps", flush=True)
                if not worst < 1.001:
                    WRONG.append(f"quantise {n} x {d} {dtype} {kind}")
    for n, d in ((3, 48), (77, 3072), (5, 4096), (3, 5008)):
        x, w, s, t = rand(n, d, dtype=F32) + 3, *(rand(d, dtype=F32) for _ in range(3))
        want = F.layer_norm(x.double(), (d,), eps=1e-6) * (1 + s) + t
        for kind, bound in ((I8, 0.016), (F8, 0.03)):
            y = torch.empty(n, d + 16, device=DEV, dtype=torch.uint8)
            g = STRUCT["nv_norm"](x=ptr(x), y=ptr(y), scale=ptr(s), shift=ptr(t), ldx=d, ldy=d + 16, rows=n, dim=d, kind=ENUM["NV_NORM_LAYER"],
                                  x_type=0, y_type=TYPES[kind], eps=1e-6)
            launch("norm", [n], g)
            factor = y[:, d:d + 4].contiguous().view(F32)
            check(f"norm to {kind} {n} x {d}", y[:, :d].contiguous().view(kind).double() * factor, want, bound)
    for m, n, k in ((1, 40, 48), (3, 1024, 3072), (8, 96, 18944)):
        for kind in (I8, F8):
            (w, ws), (w2, ws2) = in_eight(rand(n, k), kind), in_eight(rand(n, k), kind)
            for dtype in (BF, F32):
                x, y = rand(m, k, dtype=dtype), nan(m, n, dtype=F32)
                launch("gemv_eight", [ceil(n, 8)], gemm_params(x, w, y, w2=w2, row_scales=ws, row_scales2=ws2, act="SWIGLU"))
                check(f"gemv_eight {m} x {n} x {k} {dtype} {kind}", y,
                      gemm_reference(x, w, w2=w2, row_scales=ws, row_scales2=ws2, act="SWIGLU"), 1e-5)


def time_quantise():
    for n, d in ((4608, 3072), (4608, 12288), (4608, 16384), (512, 18944)):
        x, s = rand(n, d), nan(n, dtype=F32)
        for kind in (I8, F8):
            q = torch.empty(n, d, device=DEV, dtype=torch.uint8).view(kind)
            t = ms(lambda: quantise(x, q, s))
            print(f"  {n} x {d} to {kind}: {t * 1e3:.1f} us, {x.numel() * 3 / t / 1e6:.0f} GB/s", flush=True)


WIDE = (384, 512)  # heads that have a kernel of their own on sm_90a, one at a time


# ---- operands of 8 bits -----------------------------------------------------------------------------
def in_eight(t, dtype):
    """Rows of t as numbers of 8 bits and a factor a row."""
    scale = t.float().abs().amax(-1).clamp_min(1e-12) / (127 if dtype == I8 else 448)
    q = t.float() / scale[:, None]
    return (q.round().clamp(-127, 127) if dtype == I8 else q).to(dtype), scale


EIGHT = {"s8": I8, "tmas8_256": I8, "tmas8_128": I8, "tmaf8_256": F8, "tmaf8_128": F8}


def check_eight():
    print("products of 8 bits")
    for kind, dtype in EIGHT.items():
        # Sums of float8 lose bits in the matrix units of sm_90.
        loose = 1 if dtype == I8 else 300
        for m, n, k in ((1, 8, 16), (77, 136, 272), (130, 252, 1008), (512, 3072, 3072), (4609, 520, 80)):
            if skipped(m * n * k):
                continue
            (x, xs), (w, ws), (w2, ws2) = (in_eight(rand(r, k), dtype) for r in (m, n, n))
            bias, bias2, gate, res = rand(n, dtype=F32), rand(n, dtype=F32), rand(n, dtype=F32), rand(m, n, dtype=F32)
            for o in ({}, dict(bias=bias, act="GELU_TANH"), dict(bias=bias, gate=gate, residual=res, scale=0.5),
                      dict(w2=w2, act="SWIGLU", bias=bias, bias2=bias2, row_scales2=ws2)):
                for out in (F32, BF):
                    y = nan(m, n, dtype=out)
                    o = dict(o, x_scales=xs, row_scales=ws)
                    gemm(kind, x, w, y, **o)
                    check(f"{kind} {m} x {n} x {k} {' '.join(sorted(o))} {o.get('act', '')} -> {str(out)[6:]}", y,
                          gemm_reference(x, w, **o), 3e-3 if out == BF else 1e-5 * loose)
            y, want = res.clone(), gemm_reference(x, w, bias=bias, gate=gate, residual=res, x_scales=xs, row_scales=ws)
            gemm(kind, x, w, y, bias=bias, gate=gate, residual=y, x_scales=xs, row_scales=ws)
            check(f"{kind} {m} x {n} x {k} in place", y, want, 1e-5 * loose)
            if kind != "s8":
                y = res.clone()
                gemm(kind, x, w, y, bias=bias, gate=gate, residual=y, x_scales=xs, row_scales=ws, shared=True)
                check(f"{kind} {m} x {n} x {k} shared", y, want, 1e-5 * loose)
    for dtype in (I8, F8):
        m, k, n = 300, 272, 3
        if skipped(m * k * n * 128):
            continue
        (x, xs), (w, ws) = in_eight(rand(m, k), dtype), in_eight(rand(n * 128, k), dtype)
        bias, weight, c, y = rand(n * 128, dtype=F32), rand(128, dtype=F32), rand(m, 64, dtype=F32), nan(m, n, 128)
        heads(x, [(w, bias, weight, y, 0)], c.cos(), c.sin(), 0, x_scales=xs, row_scales=[ws])
        r = gemm_reference(x, w, bias=bias, x_scales=xs, row_scales=ws).reshape(m, n, 128)
        check(f"heads of {str(dtype)[6:]}", y, r * (r.square().mean(-1, keepdim=True) + 1e-6).rsqrt() * weight, 3e-3)


def time_eight():
    for m, n, k in ((4608, 3072, 3072), (4608, 18432, 3072), (4608, 3072, 12288), (1536, 9216, 3072), (4608, 24576, 4096)):
        line = f"  {m} x {n} x {k}:"
        for kind, dtype in EIGHT.items():
            (x, xs), (w, ws) = in_eight(rand(m, k), dtype), in_eight(rand(n, k), dtype)
            y, z, h = nan(m, n), nan(m, n // 2), n // 2
            rate = lambda o, y, w: 2 * m * n * k / ms(lambda: gemm(kind, x, w, y, x_scales=xs, **o)) / 1e9
            line += f" {kind} {rate(dict(row_scales=ws), y, w):.0f}"
            if kind[-3:] != "128":
                line += f" swiglu {rate(dict(row_scales=ws[:h], w2=w[h:], row_scales2=ws[h:], act='SWIGLU'), z, w[:h]):.0f}"
            res = rand(m, n, dtype=F32)
            line += f" in place {rate(dict(row_scales=ws, residual=res), res, w):.0f},"
        print(line, flush=True)


def attention(kind, q, k, v, y, mask=None, causal=0, scale=None, offset=None, keys=None):
    """q [tokens, heads, dim], k, v [tokens, kv heads, dim], y [tokens, heads * dim]"""
    n, h, d = q.shape
    a = STRUCT["nv_attention"](q=ptr(q), k=ptr(k), v=ptr(v), mask=ptr(mask), y=ptr(y), q_token=q.stride(0), q_head=q.stride(1),
                               k_token=k.stride(0), k_head=k.stride(1), v_token=v.stride(0), v_head=v.stride(1), y_token=y.stride(0),
                               y_head=d, mask_row=mask.stride(0) if mask is not None else 0, n_q=n, n_kv=k.shape[0], heads=h,
                               kv_heads=k.shape[1], head_dim=d, causal=causal, offset=k.shape[0] - n if offset is None else offset, type=TYPES[q.dtype], y_type=TYPES[y.dtype],
                               scale=scale or d ** -0.5)
    if kind == "mma":
        launch(f"attention_bf16_{d}", [ceil(n, 128), h], a)
    elif kind == "exact":
        launch("attention_exact", [ceil(n, 4), h], a)
    elif d in WIDE:
        m = [tensor_map(ptr(t), [d, t.shape[0]], [t.stride(0)], [64, box]) for t, box in ((q, 128), (k, 64), (v, 64))]
        launch(f"attention_tma_{d}", [ceil(n, 128), 2], STRUCT["nv_attention_tma"](q_map=m[0], k_map=m[1], v_map=m[2], a=a))
    else:
        m = [tensor_map(ptr(t), [d, t.shape[0], t.shape[1]], [t.stride(0), t.stride(1)], [64, 128, 1]) for t in (q, k, v)]
        launch("attention_tma_128", [ceil(n, 128), h], STRUCT["nv_attention_tma"](q_map=m[0], k_map=m[1], v_map=m[2], a=a, keys=ptr(keys)))


def attention_reference(q, k, v, mask=None, causal=0):
    g = q.shape[1] // k.shape[1]
    q, k, v = (t.double().transpose(0, 1) for t in (q, k, v))
    k, v = k.repeat_interleave(g, 0), v.repeat_interleave(g, 0)
    s = q @ k.transpose(1, 2) * q.shape[-1] ** -0.5
    if mask is not None:
        s = s + mask.double()
    if causal:
        n, m = s.shape[1:]
        s = s.masked_fill(torch.ones(n, m, device=DEV, dtype=bool).triu(m - n + 1), float("-inf"))
    return (s.softmax(-1) @ v).transpose(0, 1).reshape(q.shape[1], -1)


def check_attention():
    print("attention")
    for n, m, h, g in ((1, 1, 1, 1), (77, 77, 8, 2), (129, 300, 4, 1), (1000, 1000, 3, 1), (64, 4609, 2, 1), (512, 512, 32, 4), (129, 1, 1, 1),
                       (1, 65, 1, 1), (300, 4609, 1, 1)):
        for d in (16, 32, 48, 64, 80, 96, 112, 128, 384, 512):
            for kind, dtype in (("mma", BF), ("tma", BF), ("exact", F32), ("exact", BF)):
                wide = kind == "tma" and d in WIDE
                if kind == "mma" and not 64 <= d <= 128 or kind == "tma" and d != 128 and not wide or kind == "exact" and n * m * h > 2e6:
                    continue
                if wide and h != 1 or skipped(n * m * h * d / 2):
                    continue
                q, k, v = rand(n, h, d, dtype=dtype), rand(m, h // g, d, dtype=dtype), rand(m, h // g, d, dtype=dtype)
                bound = 3e-6 if dtype == F32 else 6e-3
                mask = torch.where(torch.rand(n, m, device=DEV) < 0.3, -torch.inf, 0.0)
                mask[:, 0] = 0.5
                for o in ({}, dict(causal=1), dict(mask=mask), dict(mask=mask, causal=1)):
                    if o and (kind == "tma" and "mask" in o or m < n or wide):
                        continue
                    y = nan(n, h * d, dtype=dtype)
                    attention(kind, q, k, v, y, **o)
                    check(f"{kind} {n} x {m}, {h} heads of {d}, {' '.join(o)} {str(dtype)[6:]}", y, attention_reference(q, k, v, **o), bound)
    q, k, v = (rand(512, h, 128) for h in (8, 2, 2))
    hidden = torch.full((512, 512), -torch.inf, device=DEV).triu(1)
    hidden[:, 77:] = -torch.inf
    for kind in ("mma", "tma", "exact"):
        y = nan(512, 1024)
        attention(kind, q, k[:77], v[:77], y, causal=1, offset=0)
        check(f"{kind} causal, 77 keys for 512 queries", y, attention_reference(q, k, v, mask=hidden), 6e-3)
        if kind == "tma":
            y = nan(512, 1024)
            attention(kind, q, k, v, y, causal=1, offset=0, keys=torch.tensor([77], dtype=torch.int32, device=DEV))
            check("tma causal, the number of keys on the card", y, attention_reference(q, k, v, mask=hidden), 6e-3)
    q, k, v = (rand(4, 300, 128).transpose(0, 1) for _ in range(3))
    for kind in ("mma", "tma"):
        y = nan(300, 600)
        attention(kind, q, k, v, y[:, :512])
        check(f"{kind} head by head, into a wider matrix", y[:, :512], attention_reference(q, k, v), 6e-3)


def time_attention():
    from torch.nn.attention import sdpa_kernel, SDPBackend
    for n in (1536, 4608, 10112):
        h, d = 24, 128
        q, k, v = (rand(n, h, d) for _ in range(3))
        y, fl = nan(n, h * d), 4 * h * n * n * d
        rate = lambda t: f"{fl / t / 1e9:.0f}"
        a, b, c = (t.transpose(0, 1)[None].contiguous() for t in (q, k, v))
        with sdpa_kernel(SDPBackend.CUDNN_ATTENTION):
            t = ms(lambda: F.scaled_dot_product_attention(a, b, c))
        print(f"  {n} tokens: cuDNN {rate(t)}, mma {rate(ms(lambda: attention('mma', q, k, v, y)))}, "
              f"tma {rate(ms(lambda: attention('tma', q, k, v, y)))} TFLOP/s", flush=True)


    for n, d in ((16384, 512), (65536, 512), (16384, 384)):
        q, k, v = (rand(n, 1, d) for _ in range(3))
        y, fl = nan(n, d), 4 * n * n * d
        print(f"  {n} tokens, a head of {d}: {fl / ms(lambda: attention('tma', q, k, v, y), 3, 2) / 1e9:.0f} TFLOP/s", flush=True)


# ---- rows -------------------------------------------------------------------------------------------
def norm(x, y, kind, weight=None, bias=None, scale=None, shift=None, silu=0, eps=1e-6):
    launch("norm", [x.shape[0]], STRUCT["nv_norm"](x=ptr(x), y=ptr(y), weight=ptr(weight), bias=ptr(bias), scale=ptr(scale),
           shift=ptr(shift), ldx=x.stride(0), ldy=y.stride(0), rows=x.shape[0], dim=x.shape[1], kind=ENUM["NV_NORM_" + kind],
           silu=silu, x_type=TYPES[x.dtype], y_type=TYPES[y.dtype], eps=eps))


def norm_rope(x, y, weight, cos, sin, pairs, eps=1e-6):
    n, h, d = x.shape
    launch("norm_rope", [ceil(n * h, 8)], STRUCT["nv_norm_rope"](x=ptr(x), y=ptr(y), weight=ptr(weight), cos=ptr(cos), sin=ptr(sin),
           x_token=x.stride(0), x_head=x.stride(1), y_token=y.stride(0), y_head=y.stride(1), ld_table=d // 2, tokens=n, heads=h,
           head_dim=d, pairs=pairs, x_type=TYPES[x.dtype], y_type=TYPES[y.dtype], eps=eps))


def check_rows():
    print("rows")
    for n, d in ((1, 8), (3, 37), (77, 3072), (5, 4096), (3, 5000)):
        x, w, b, s, t = rand(n, d, dtype=F32) + 3, *(rand(d, dtype=F32) for _ in range(4))
        for out in (F32, BF):
            bound = 2e-6 if out == F32 else 3e-3
            y = nan(n, d, dtype=out)
            norm(x, y, "LAYER", scale=s, shift=t)
            check(f"layer norm {n} x {d}", y, F.layer_norm(x.double(), (d,), eps=1e-6) * (1 + s) + t, bound)
            norm(x, y, "RMS", weight=w, bias=b, silu=1)
            check(f"RMS norm {n} x {d}", y, F.silu(x.double() * (x.double().square().mean(-1, keepdim=True) + 1e-6).rsqrt() * w + b), bound)
            norm(x, y, "L2", weight=w, eps=1e-12)
            check(f"L2 norm {n} x {d}", y, F.normalize(x.double(), dim=-1) * w, bound)
            launch("softmax", [n], STRUCT["nv_softmax"](x=ptr(x), y=ptr(y), mask=ptr(b), ldx=d, ldy=d, ld_mask=d, rows=n, dim=d, mask_rows=1,
                   x_type=0, y_type=TYPES[out], scale=2.0))
            check(f"softmax {n} x {d}", y, (x.double() * 2 + b).softmax(-1), bound)
        z = nan(n, dtype=F32)
        launch("reduce_rows", [n], STRUCT["nv_reduce"](x=ptr(x), y=ptr(z), ldx=d, rows=n, dim=d, x_type=0, factor=0.5))
        check(f"reduce_rows {n} x {d}", z, x.double().sum(-1) * 0.5, 1e-6)
    for n, h, d in ((1, 1, 2), (77, 5, 48), (300, 24, 128)):
        for pairs in (0, 1):
            for use in (0, 1):
                x, w, a = rand(n, h, d, dtype=F32), rand(d, dtype=F32), rand(n, d // 2, dtype=F32) * 3
                y = nan(h, n, d).transpose(0, 1)
                norm_rope(x, y, w if use else None, a.cos(), a.sin(), pairs)
                r = x.double()
                if use:
                    r = r * (r.square().mean(-1, keepdim=True) + 1e-6).rsqrt() * w
                c, s = a.double().cos()[:, None], a.double().sin()[:, None]
                p, q = (r[..., 0::2], r[..., 1::2]) if pairs else (r[..., :d // 2], r[..., d // 2:])
                z = torch.stack((p * c - q * s, q * c + p * s), -1).flatten(-2) if pairs else torch.cat((p * c - q * s, q * c + p * s), -1)
                check(f"norm_rope {n} x {h} x {d} pairs {pairs} norm {use}", y, z, 4e-3)  # two numbers: one rounding


def time_rows():
    x, y, s = rand(4608, 3072, dtype=F32), nan(4608, 3072), rand(3072, dtype=F32)
    t = ms(lambda: norm(x, y, "LAYER", scale=s, shift=s))
    print(f"  layer norm 4608 x 3072: {t * 1e3:.0f} us, {x.numel() * 6 / t / 1e6:.0f} GB/s")
    x, y, w, c = rand(4608, 24, 128), nan(4608, 24, 128), rand(128, dtype=F32), rand(4608, 64, dtype=F32)
    t = ms(lambda: norm_rope(x, y, w, c, c, 1))
    print(f"  norm_rope 4608 x 24 x 128: {t * 1e3:.0f} us, {x.numel() * 4 / t / 1e6:.0f} GB/s")


# ---- images -----------------------------------------------------------------------------------------
def conv(kind, x, w, y, bias=None, residual=None, stride=1, pad=(1, 1, 1, 1), up=0):
    """x [h, w, in], w [out, kh, kw, in], y [oh, ow, out]; pad left, right, top, bottom"""
    f = 2 if up else 1
    p = STRUCT["nv_conv"](x=ptr(x), w=ptr(w), bias=ptr(bias), residual=ptr(residual), y=ptr(y), x_row=x.stride(0), x_column=x.stride(1),
                          x_channel=x.stride(2), w_out=w.stride(0), w_tap=w.stride(2), w_in=w.stride(3), y_row=y.stride(0),
                          y_column=y.stride(1), y_channel=y.stride(2), height=x.shape[0] * f, width=x.shape[1] * f, out_height=y.shape[0],
                          out_width=y.shape[1], out=y.shape[2], kh=w.shape[1], kw=w.shape[2], stride=stride, pad_left=pad[0],
                          pad_top=pad[2], up=up, x_type=TYPES[x.dtype], w_type=TYPES[w.dtype], y_type=TYPES[y.dtype],
                          residual_type=TYPES[residual.dtype] if residual is not None else 0)
    setattr(p, "in", x.shape[2])
    n = y.shape[0] * y.shape[1]
    if kind[:3] == "tma":
        i, o = x.shape[2], y.shape[2]
        width = int(kind[3:])
        g = STRUCT["nv_gemm"](bias=ptr(bias), residual=ptr(residual), y=ptr(y), ldy=y.stride(1), ldr=y.stride(1), m=n, n=o, scale=1.0,
                              y_type=TYPES[y.dtype], residual_type=p.residual_type)
        c = STRUCT["nv_conv_tma"](x_map=tensor_map(ptr(x), [i, x.shape[1], x.shape[0]], [x.stride(1), x.stride(0)],
                                                   [64, 16 * stride, 8 * stride], (1, stride, stride)),
                                  w_map=tensor_map(ptr(w), [i * w.shape[1] * w.shape[2], o], [w.stride(0)], [64, 64]), g=g,
                                  out_height=y.shape[0], out_width=y.shape[1], kh=w.shape[1], kw=w.shape[2], stride=stride, pad_left=pad[0],
                                  pad_top=pad[2])
        setattr(c, "in", i)
        tiles = ceil(ceil(y.shape[0], 8) * ceil(y.shape[1], 16), 2) * ceil(o, width)
        launch("conv_" + kind[:3] + "_" + kind[3:], [2 * min(66, tiles)], c)
    elif kind == "conv":
        launch("conv_bf16", [ceil(n, 128) * ceil(p.out, 128)], p)
    else:
        launch("conv_exact", [ceil(n, 64), ceil(p.out, 64)], p)


def conv_reference(x, w, bias=None, residual=None, stride=1, pad=(1, 1, 1, 1), up=0):
    z = x.permute(2, 0, 1)[None].double()
    z = F.interpolate(z, scale_factor=2, mode="nearest") if up else z
    z = F.conv2d(F.pad(z, pad), w.permute(0, 3, 1, 2).double(), bias.double() if bias is not None else None, stride)[0].permute(1, 2, 0)
    return z + residual.double() if residual is not None else z


def check_images():
    print("images")
    for h, w, i, o, kh, stride, pad, up in ((1, 1, 8, 8, 3, 1, (1, 1, 1, 1), 0), (13, 17, 16, 24, 3, 1, (1, 1, 1, 1), 0),
                                            (32, 20, 128, 256, 3, 2, (0, 1, 0, 1), 0), (9, 30, 40, 3, 1, 1, (0, 0, 0, 0), 0),
                                            (16, 15, 64, 136, 3, 1, (1, 1, 1, 1), 1), (64, 64, 512, 512, 3, 1, (1, 1, 1, 1), 0)):
        for kind, dtype in (("conv", BF), ("tma256", BF), ("tma128", BF), ("exact", F32), ("exact", BF)):
            if up and kind[:3] == "tma" or skipped(h * w * i * o * kh * kh / 2):
                continue
            x, k, bias = rand(h, w, i, dtype=dtype), rand(o, kh, kh, i, dtype=dtype, scale=(i * kh * kh) ** -0.5), rand(o, dtype=F32)
            want = conv_reference(x, k, bias, None, stride, pad, up)
            res = rand(*want.shape, dtype=dtype)
            for out in (F32, BF):
                y = nan(*want.shape, dtype=out)
                conv(kind, x, k, y, bias, None, stride, pad, up)
                check(f"{kind} {h} x {w} x {i} -> {o}, {kh} x {kh}, stride {stride}, up {up}, {str(dtype)[6:]}", y, want, 1e-5 if out == F32 else 3e-3)
                if kind[:3] == "tma" and out == F32:
                    continue
                conv(kind, x, k, y, bias, res, stride, pad, up)
                check(f"{kind} with residual", y, want + res.double(), 1e-5 if out == F32 else 6e-3)
    for h, c, groups in ((2, 32, 32), (37, 96, 32), (100, 512, 32)):
        for dtype in (F32, BF):
            for planar in (0, 1):
                x = rand(h * h, c, dtype=dtype) * 2 + 5
                if planar:
                    x = x.T.contiguous().T
                y = torch.full_like(x, float("nan"))
                wt, b, parts = rand(c, dtype=F32), rand(c, dtype=F32), 7
                state, mom, sc = nan(parts, c, 3, dtype=F32), nan(2, c, dtype=F32), nan(2, c, dtype=F32)
                g = STRUCT["nv_group_norm"](x=ptr(x), y=ptr(y), weight=ptr(wt), bias=ptr(b), state=ptr(state), moments=ptr(mom), scales=ptr(sc),
                                            x_pixel=x.stride(0), x_channel=x.stride(1), y_pixel=y.stride(0), y_channel=y.stride(1), pixels=h * h,
                                            channels=c, groups=groups, parts=parts, silu=1, x_type=TYPES[dtype], y_type=TYPES[dtype], eps=1e-6)
                launch("channel_sums", [parts, ceil(c, 32)], g)
                launch("channel_moments", [ceil(c, 8)], g)
                launch("group_scales", [groups], g)
                launch("group_apply", [50], g)
                z = x.double().reshape(h * h, groups, -1)
                z = (z - z.mean((0, 2), keepdim=True)) * (z.var((0, 2), correction=0, keepdim=True) + 1e-6).rsqrt()
                want = F.silu(z.reshape(h * h, c) * wt + b)
                check(f"group norm {h * h} x {c} planar {planar}", y, want, 3e-6 if dtype == F32 else 3e-3)


def time_images():
    for h, c, o, up in ((128, 512, 512, 0), (256, 512, 512, 0), (512, 256, 256, 0), (1024, 128, 128, 0), (512, 512, 512, 1)):
        f = 2 if up else 1
        x, k, y = rand(h // f, h // f, c), rand(o, 3, 3, c), nan(h, h, o)
        cl = x.permute(2, 0, 1)[None].contiguous(memory_format=torch.channels_last)
        kl = k.permute(0, 3, 1, 2).contiguous(memory_format=torch.channels_last)
        fl = 2 * h * h * c * o * 9
        theirs = ms(lambda: F.conv2d(F.interpolate(cl, scale_factor=2) if up else cl, kl, padding=1))
        line = f"  conv {h} x {h} x {c} -> {o} up {up}: cuDNN {fl / theirs / 1e9:.0f}"
        for kind in ("conv",) if up else ("conv", "tma256", "tma128"):
            line += f", {kind} {fl / ms(lambda: conv(kind, x, k, y, up=up)) / 1e9:.0f}"
        print(line + " TFLOP/s", flush=True)
    for n, c in ((1 << 20, 128), (1 << 18, 256), (1 << 16, 512)):
        x, y, parts = rand(n, c), nan(n, c), 512
        state, mom, sc = nan(parts, c, 3, dtype=F32), nan(2, c, dtype=F32), nan(2, c, dtype=F32)
        g = STRUCT["nv_group_norm"](x=ptr(x), y=ptr(y), state=ptr(state), moments=ptr(mom), scales=ptr(sc), x_pixel=c, x_channel=1, y_pixel=c,
                                    y_channel=1, pixels=n, channels=c, groups=32, parts=parts, silu=1, x_type=1, y_type=1, eps=1e-6)
        a = ms(lambda: launch("channel_sums", [parts, ceil(c, 32)], g))
        b = ms(lambda: launch("channel_moments", [ceil(c, 8)], g))
        d = ms(lambda: launch("group_apply", [1056], g))
        print(f"  group norm {n} x {c}: sums {a * 1e3:.0f} us, moments {b * 1e3:.0f} us, apply {d * 1e3:.0f} us "
              f"({x.numel() * 2 / a / 1e6:.0f}, {x.numel() * 4 / d / 1e6:.0f} GB/s)")


# ---- everything else ----------------------------------------------------------------------------------
def source(t):
    """t in reading order; ne and nb in ggml's."""
    ne, nb = list(t.shape[::-1]), [s * t.element_size() for s in t.stride()[::-1]]
    while len(ne) < 4:
        nb.append(nb[-1] * ne[-1])
        ne.append(1)
    return STRUCT["nv_map_source"](p=ptr(t), ne=(C.c_int64 * 4)(*ne), nb=(C.c_int64 * 4)(*nb), type=TYPES[t.dtype])


def run_map(op, y, a=None, b=None, p=(0, 0), q=(0, 0, 0, 0)):
    s = source(y)
    m = STRUCT["nv_map"](y=ptr(y), ne=s.ne, nb=s.nb, y_type=s.type, op=ENUM["NV_MAP_" + op], p=(C.c_float * 2)(*p), q=(C.c_int32 * 4)(*q))
    if a is not None:
        m.a = source(a)
    if b is not None:
        m.b = source(b)
    launch("map", [max(1, min(2048, ceil(y.numel(), 256)))], m)


def check_map():
    print("maps")
    a, b = rand(3, 5, 7, 9, dtype=F32), rand(5, 1, 9, dtype=F32)
    y = torch.empty_like(a)
    one = {"SILU": F.silu, "SIGMOID": torch.sigmoid, "TANH": torch.tanh, "GELU_TANH": lambda x: F.gelu(x, approximate="tanh"), "GELU_ERF": F.gelu,
           "RELU": F.relu, "EXP": torch.exp, "NEG": torch.neg, "ABS": torch.abs, "SQR": torch.square}
    for op, f in one.items():
        run_map(op, y, a)
        check(op.lower(), y, f(a.double()), 1e-6)
    for op, f in {"ADD": torch.add, "SUB": torch.sub, "MUL": torch.mul, "DIV": torch.div, "SILU_MUL": lambda x, z: F.silu(x) * z}.items():
        run_map(op, y, a, b)
        check(op.lower(), y, f(a.double(), b.double()), 1e-6)
    run_map("SQRT", y, a.abs())
    check("sqrt", y, a.double().abs().sqrt(), 1e-6)
    run_map("SCALE", y, a, p=(2.5, 1.0))
    check("scale", y, a.double() * 2.5 + 1, 1e-6)
    run_map("CLAMP", y, a, p=(-0.5, 0.25))
    check("clamp", y, a.clamp(-0.5, 0.25), 0)
    z = nan(7, 9, 3, 5).permute(2, 3, 0, 1)
    run_map("COPY", z, a)
    check("copy, permuted, to bf16", z, a, 3e-3)
    ids = torch.randint(0, 11, (6,), device=DEV, dtype=torch.int32)
    table, g = rand(11, 33), nan(6, 33, dtype=F32)
    run_map("GATHER", g, table, ids)
    check("gather", g, table[ids.long()], 0)
    p = nan(3, 8, 10, 9, dtype=F32)
    run_map("PAD", p, a, q=(0, 1, 2, 0))
    check("pad", p, F.pad(a, (0, 0, 1, 2, 2, 1)), 0)
    run_map("ROLL", y, a, q=(2, -3, 0, 0))
    check("roll", y, a.roll((2, -3), (3, 2)), 0)
    u = nan(3, 5, 14, 18, dtype=F32)
    run_map("UPSCALE", u, a, q=(2, 2, 1, 1))
    check("upscale", u, F.interpolate(a, scale_factor=2), 0)
    wide = rand(3, 5, 64)
    u = nan(6, 10, 64)
    run_map("UPSCALE", u, wide, q=(1, 2, 2, 1))
    check("upscale in pieces", u, wide.repeat_interleave(2, 0).repeat_interleave(2, 1), 0)
    u = nan(5, 3, 72)[:, :, :64].permute(1, 0, 2)
    run_map("COPY", u, wide)
    check("copy in pieces", u, wide, 0)
    r = nan(12, dtype=F32)
    run_map("ARANGE", r, p=(3, 0.5))
    check("arange", r, 3 + 0.5 * torch.arange(12, device=DEV), 0)
    x, t = rand(2, 70, 45), nan(2, 45, 70, dtype=F32)
    launch("transpose", [2, 3, 2], STRUCT["nv_transpose"](x=ptr(x), y=ptr(t), ldx=45, ldy=70, x_batch=70 * 45, y_batch=70 * 45, rows=70, cols=45,
           x_type=1, y_type=0))
    check("transpose", t, x.transpose(1, 2), 0)


# ---- stored weights ---------------------------------------------------------------------------------
# A number at a time, in Python, as the documentation of GGUF says how they lie. b is a block, i a number of it.
def half(b, at):
    return struct.unpack_from("<e", b, at)[0]


def int8(x):
    return x - 256 if x > 127 else x


def code(b, at, i):
    """32 of four bits: the first 16 in the low halves of bytes"""
    return b[at + i] & 15 if i < 16 else b[at + i - 16] >> 4


def bit(b, at, i):
    return b[at + i // 8] >> i % 8 & 1


def two_bits(b, at, i):
    """256 of them: of each half the first 32 in the lowest bits of 32 bytes"""
    return b[at + i // 128 * 32 + i % 32] >> i % 128 // 32 * 2 & 3


def six_bits(b, at, k):
    """scale and least value of part k of 8"""
    if k < 4:
        return b[at + k] & 63, b[at + 4 + k] & 63
    return b[at + 4 + k] & 15 | b[at + k - 4] >> 6 << 4, b[at + 4 + k] >> 4 | b[at + k] >> 6 << 4


def k_quant(b, i, at, fifth):
    s, m = six_bits(b, 4, i // 32)
    q = b[at + i // 64 * 32 + i % 32] >> i % 64 // 32 * 4 & 15
    return half(b, 0) * s * (q + 16 * fifth) - half(b, 2) * m


def q3_k(b, i):
    k = i // 16
    s = b[96 + k % 8] >> k // 8 * 4 & 15 | (b[104 + k % 4] >> k // 4 * 2 & 3) << 4
    return half(b, 108) * (s - 32) * (two_bits(b, 32, i) - (0 if b[i % 32] >> i // 32 & 1 else 4))


def q6_k(b, i):
    low = b[i // 128 * 64 + i % 64] >> i % 128 // 64 * 4 & 15
    return half(b, 208) * int8(b[192 + i // 16]) * ((low | two_bits(b, 128, i) << 4) - 32)


IQ4 = (-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113)


def iq4_xs(b, i):
    k = i // 32
    s = b[4 + k // 2] >> k % 2 * 4 & 15 | ((b[2] | b[3] << 8) >> 2 * k & 3) << 4
    return half(b, 0) * (s - 32) * IQ4[code(b, 8 + 16 * k, i % 32)]


def tq1_0(b, i):
    byte, n = (b[i % 32], i // 32) if i < 160 else (b[32 + i % 16], (i - 160) // 16) if i < 240 else (b[48 + i % 4], (i - 240) // 4)
    return ((byte * 3**n & 255) * 3 // 256 - 1) * half(b, 52)


def e2m1(q):
    return (0, 0.5, 1, 1.5, 2, 3, 4, 6)[q & 7] * (-1 if q & 8 else 1)


def e4m3(x):
    e, m = x >> 3 & 15, x & 7
    return (2.0**(e - 10) * (8 + m) if e else 2.0**-9 * m) * (-1 if x & 128 else 1)


def nvfp4(b, i):
    q = b[4 + i // 16 * 8 + i % 8]
    return e4m3(b[i // 16]) * e2m1(q & 15 if i % 16 < 8 else q >> 4)


# Numbers and bytes of a block, where its scales in half precision are, and its number i.
STORED = {
    "Q4_0": (32, 18, [0], lambda b, i: half(b, 0) * (code(b, 2, i) - 8)),
    "Q4_1": (32, 20, [0, 2], lambda b, i: half(b, 0) * code(b, 4, i) + half(b, 2)),
    "Q5_0": (32, 22, [0], lambda b, i: half(b, 0) * (code(b, 6, i) + 16 * bit(b, 2, i) - 16)),
    "Q5_1": (32, 24, [0, 2], lambda b, i: half(b, 0) * (code(b, 8, i) + 16 * bit(b, 4, i)) + half(b, 2)),
    "Q8_0": (32, 34, [0], lambda b, i: half(b, 0) * int8(b[2 + i])),
    "Q2_K": (256, 84, [80, 82],
             lambda b, i: half(b, 80) * (b[i // 16] & 15) * two_bits(b, 16, i) - half(b, 82) * (b[i // 16] >> 4)),
    "Q3_K": (256, 110, [108], q3_k),
    "Q4_K": (256, 144, [0, 2], lambda b, i: k_quant(b, i, 16, 0)),
    "Q5_K": (256, 176, [0, 2], lambda b, i: k_quant(b, i, 48, b[16 + i % 32] >> i // 32 & 1)),
    "Q6_K": (256, 210, [208], q6_k),
    "IQ4_NL": (32, 18, [0], lambda b, i: half(b, 0) * IQ4[code(b, 2, i)]),
    "IQ4_XS": (256, 136, [0], iq4_xs),
    "TQ1_0": (256, 54, [52], tq1_0),
    "TQ2_0": (256, 66, [64], lambda b, i: half(b, 64) * (two_bits(b, 0, i) - 1)),
    "MXFP4": (32, 17, [], lambda b, i: 2.0**(b[0] - 127) * e2m1(code(b, 1, i))),
    "NVFP4": (64, 36, [], nvfp4),
    "E4M3": (1, 1, [], lambda b, i: e4m3(b[0])),
    "E5M2": (1, 1, [], lambda b, i: struct.unpack("<e", bytes((0, b[0])))[0]),
    "INT8": (1, 1, [], lambda b, i: int8(b[0])),
}


def stored_blocks(name, blocks, generator):
    """Blocks of random bytes whose scales are numbers."""
    _, size, halves, _ = STORED[name]
    raw = bytearray(generator.randbytes(blocks * size))
    for at in range(0, len(raw), size):
        for h in halves:
            struct.pack_into("<e", raw, at + h, generator.uniform(-1, 1))
        if name == "MXFP4":
            raw[at] = 110 + raw[at] % 24
        if name == "NVFP4":
            raw[at:at + 4] = bytes(x % 0x7f for x in raw[at:at + 4])
        if name == "E4M3" and raw[at] & 0x7f == 0x7f or name == "E5M2" and raw[at] & 0x7c == 0x7c:
            raw[at] = 0x3f
    return bytes(raw)


def unpack(name, x, y, numbers):
    launch("unpack", [ceil(numbers, 8192)], STRUCT["nv_unpack"](x=x, y=ptr(y), numbers=numbers, kind=ENUM["NV_BLOCKS_" + name]))


def check_unpack():
    generator = random.Random(1)
    for name, (numbers, size, _, number) in STORED.items():
        some, odd = max(numbers, 8), 8 if numbers == 1 else 1
        for blocks, skipped_blocks in ((8 * (8200 // some) + 3 * odd, 0), (8 * (1000 // some) + odd, odd)):
            raw = stored_blocks(name, blocks + skipped_blocks, generator)
            x = torch.frombuffer(bytearray(raw), dtype=torch.uint8).to(DEV)
            y, first = nan(blocks * numbers), skipped_blocks * size
            unpack(name, ptr(x) + first, y, blocks * numbers)
            want = [number(raw[at:at + size], i) for at in range(first, len(raw), size) for i in range(numbers)]
            check(f"unpack {name}, {blocks} blocks", y, torch.tensor(want, dtype=torch.float64).float().to(BF).to(DEV), 0)


def time_unpack():
    rows, columns = 12288, 4096
    y = nan(rows, columns)
    for name, (numbers, size, _, _) in STORED.items():
        n = rows * columns // numbers * size
        x = torch.randint(0, 256, (n,), device=DEV, dtype=torch.uint8)
        t = ms(lambda: unpack(name, ptr(x), y, rows * columns))
        print(f"  unpack {name} {rows} x {columns}: {t * 1e3:.0f} us, {(n + 2 * y.numel()) / t / 1e6:.0f} GB/s")


def main():
    torch.manual_seed(1)
    parts = [("gemm", check_gemm, time_gemm), ("heads", check_heads, None), ("eight", check_eight, time_eight), ("quantise", check_quantise, time_quantise), ("attention", check_attention, time_attention), ("rows", check_rows, time_rows),
             ("images", check_images, time_images), ("map", check_map, None), ("unpack", check_unpack, time_unpack)]
    only = sys.argv[3].split(",") if len(sys.argv) > 3 else [p[0] for p in parts]
    for name, checks, times in parts:
        if name not in only:
            continue
        for f in ([checks] if MODE != "time" else []) + ([times] if times and MODE in ("time", "all") else []):
            try:
                f()
                torch.cuda.synchronize()
            except Exception as e:  # a kernel that fails takes the context with it: say where, stop
                print(f"  WRONG {name}: {e}", flush=True)
                WRONG.append(name)
                if "illegal" in str(e) or "launch" in str(e) or "unspecified" in str(e):
                    break
    print(f"{len(WRONG)} wrong" + (": " + "; ".join(WRONG[:20]) if WRONG else ""))
    sys.exit(1 if WRONG else 0)


main()
