/* The plain path of one device's message, from the socket's bytes to the log's open batch and from
 * the commit to the socket, in C. ADR 0015.
 *
 * What is here is in Python too, word for word in meaning: `MqttConnection._run`, `DeviceDoor.telemetry`,
 * `Log.append_plain`, `MqttConnection.decided`. Both work on the same objects. This file does the plain
 * case only, and looks before it touches: whatever is unusual it leaves, unchanged, to Python.
 *
 * Objects are reached by the offsets of their slots, read from the classes once by `bind`. The order
 * of the names in the enums below is that of the tuples in `names`.
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <structmember.h>
#include <string.h>

/* -- what is bound: classes and their slots --------------------------------------------------- */

enum { CONNECTION, HUB, ACKS, GROUP, ROUTE, DOOR, HOT, LOG, PENDING, RECORD, CLASSES };

enum { C_HUB, C_STATE, C_V5, C_DOOR, C_ACKS, C_TRANSPORT, C_PAUSED };
enum { H_COMMITS, H_KNOWN, H_PACKET_MAX, H_PUBLISHES, H_ACKNOWLEDGED, H_BATCH, H_JOINED };
enum { A_GROUPS, A_RECORDS, A_SIZE };
enum { G_BATCH, G_ACKS, G_RECORDS, G_SIZE };
enum { R_SIMPLE, R_FEATURE, R_CLS };
enum { D_HOT, D_ENGINE, D_GENERATION, D_PATHS, D_LOG, D_ENTITY };
enum {
    T_GONE, T_DOC, T_PENDING, T_PENDING_BYTES, T_REVISION, T_LAST_SEQ, T_LANES, T_MODIFIED, T_USED,
    T_WATCHED, T_DIRTY
};
enum {
    L_REFUSAL, L_NEXT, L_HLC, L_FLOOR, L_HEAD, L_ARMED, L_OPEN, L_ORIGIN, L_NOW, L_BATCH, L_FLYING
};
enum { P_RECORDS, P_BYTES };

#define SLOTS_MAX 12

#ifndef FINGERPRINT
#define FINGERPRINT "" /* build.py names the source */
#endif

static const char *const names[CLASSES][SLOTS_MAX] = {
    {"_hub", "_state", "_v5", "_door", "_acks", "_transport", "_is_paused"},
    {"commits", "known", "packet_bytes_max", "publishes", "acknowledged", "_batch", "_joined"},
    {"groups", "records", "size"},
    {"batch", "acks", "records", "size"},
    {"simple", "feature", "cls"},
    {"_hot", "_engine", "_generation", "_paths", "_log", "_entity"},
    {"gone", "doc", "pending", "pending_bytes", "revision", "last_seq", "lanes", "modified_ms",
     "used", "watched", "dirty_since"},
    {"_refusal", "_next", "last_hlc", "_floor", "head", "_armed", "_open", "origin", "_now_ms",
     "batch", "_flying"},
    {"records", "bytes"},
    {NULL},
};

static PyTypeObject *types[CLASSES];
static Py_ssize_t offsets[CLASSES][SLOTS_MAX];
static long limits[6];
enum { BATCH_BYTES, BATCH_RECORDS, EACH, HASTEN, THING_BYTES, SNAPSHOT };
static long open_state, event_class, depth_max;
static PyObject *loads, *kind;

#define SLOT(object, cls, slot) (*(PyObject **)((char *)(object) + offsets[cls][slot]))
#define IS(object, cls) (types[cls] != NULL && Py_TYPE(object) == types[cls])

static PyObject *s_move_floor, *s_arm, *s_flush, *s_policies_changed, *s_keep_pending, *s_touch,
    *s_unwatch, *s_join, *s_write, *s_decided, *s_report, *s_append, *s_popleft,
    *s_empty, *b_empty;

/* Put `value`, whose reference is taken over, into a slot. */
static inline void
put(PyObject **slot, PyObject *value)
{
    PyObject *old = *slot;
    *slot = value;
    Py_XDECREF(old);
}

static inline int
put_number(PyObject **slot, long long number)
{
    PyObject *value = PyLong_FromLongLong(number);
    if (value == NULL) {
        return -1;
    }
    put(slot, value);
    return 0;
}

/* A slot that holds an int of ours. An overflow or another type sets an error; the caller looks. */
static inline long long
number(PyObject *slot)
{
    if (slot == NULL) {
        PyErr_SetString(PyExc_AttributeError, "a slot of the hot path is empty");
        return -1;
    }
    return PyLong_AsLongLong(slot);
}

static inline int
failed(long long value)
{
    return value == -1 && PyErr_Occurred() != NULL;
}

static int
call(PyObject *object, PyObject *name)
{
    PyObject *done = PyObject_CallMethodNoArgs(object, name);
    Py_XDECREF(done);
    return done == NULL ? -1 : 0;
}

static int
call_one(PyObject *object, PyObject *name, PyObject *argument)
{
    PyObject *done = PyObject_CallMethodOneArg(object, name, argument);
    Py_XDECREF(done);
    return done == NULL ? -1 : 0;
}

static PyObject *
bind(PyObject *module, PyObject *args)
{
    int cls;
    PyTypeObject *type;
    (void)module;
    if (!PyArg_ParseTuple(args, "iO!", &cls, &PyType_Type, &type)) {
        return NULL;
    }
    if (cls < 0 || cls >= CLASSES) {
        PyErr_SetString(PyExc_ValueError, "no such class");
        return NULL;
    }
    for (int i = 0; i < SLOTS_MAX && names[cls][i] != NULL; i++) {
        PyObject *member = PyObject_GetAttrString((PyObject *)type, names[cls][i]);
        if (member == NULL) {
            return NULL;
        }
        if (!Py_IS_TYPE(member, &PyMemberDescr_Type) ||
            ((PyMemberDescrObject *)member)->d_member->type != T_OBJECT_EX) {
            PyErr_Format(PyExc_TypeError, "%s.%s is not a slot", type->tp_name, names[cls][i]);
            Py_DECREF(member);
            return NULL;
        }
        offsets[cls][i] = ((PyMemberDescrObject *)member)->d_member->offset;
        Py_DECREF(member);
    }
    Py_INCREF(type);
    Py_XSETREF(types[cls], type);
    Py_RETURN_NONE;
}

static PyObject *
configure(PyObject *module, PyObject *args, PyObject *keywords)
{
    static char *known[] = {
        "batch_bytes_max", "batch_records_max", "open_bytes_each", "hasten_records",
        "thing_bytes_max", "snapshot_every", "open_state", "event_class", "depth_max", "loads",
        "kind", NULL,
    };
    (void)module;
    PyObject *parse = NULL, *of = NULL;
    if (!PyArg_ParseTupleAndKeywords(
            args, keywords, "|$lllllllllOU", known, &limits[BATCH_BYTES], &limits[BATCH_RECORDS],
            &limits[EACH], &limits[HASTEN], &limits[THING_BYTES], &limits[SNAPSHOT], &open_state,
            &event_class, &depth_max, &parse, &of)) {
        return NULL;
    }
    if (parse != NULL) {
        Py_INCREF(parse);
        Py_XSETREF(loads, parse);
    }
    if (of != NULL) {
        Py_INCREF(of);
        Py_XSETREF(kind, of);
    }
    Py_RETURN_NONE;
}

/* -- the log: `Log.append_plain` --------------------------------------------------------------- */

/* 1: appended, with the new reference *seq_out and the stamp; 0: not ours; -1: an error is set. */
static int
append_plain(PyObject *log, PyObject *cls, PyObject *entity, PyObject *revision, PyObject *prev_seq,
             PyObject *path, PyObject *value, PyObject **seq_out, long long *stamp_out)
{
    PyObject *pending = SLOT(log, LOG, L_OPEN);
    if (SLOT(log, LOG, L_REFUSAL) != Py_None || pending == NULL || !IS(pending, PENDING)) {
        return 0;
    }
    PyObject *records = SLOT(pending, PENDING, P_RECORDS);
    long long bytes = number(SLOT(pending, PENDING, P_BYTES)) + PyBytes_GET_SIZE(value) +
        limits[EACH];
    if (PyErr_Occurred()) {
        return -1;
    }
    int armed = SLOT(log, LOG, L_ARMED) == Py_True;
    if (bytes > limits[BATCH_BYTES] || PyList_GET_SIZE(records) + 1 >= limits[BATCH_RECORDS]) {
        return 0;
    }
    long long seq = number(SLOT(log, LOG, L_NEXT));
    long long last = number(SLOT(log, LOG, L_HLC));
    long long floor = number(SLOT(log, LOG, L_FLOOR));
    long long stamp = last + 1;
    if (PyErr_Occurred()) {
        return -1;
    }
    if (!(seq & 31) || !armed) {
        PyObject *now = PyObject_CallNoArgs(SLOT(log, LOG, L_NOW));
        if (now == NULL) {
            return -1;
        }
        long long wall = number(now);
        Py_DECREF(now);
        if (failed(wall)) {
            return -1;
        }
        if (wall << 16 > last) {
            stamp = wall << 16;
        }
    }
    PyObject *seq_object = SLOT(log, LOG, L_NEXT);
    PyObject *stamp_object = PyLong_FromLongLong(stamp);
    PyObject *record = types[RECORD]->tp_alloc(types[RECORD], 13);
    if (stamp_object == NULL || record == NULL) {
        Py_XDECREF(stamp_object);
        Py_XDECREF(record);
        return -1;
    }
    PyObject *fields[13] = {
        seq_object, stamp_object, Py_None, cls, kind, entity, revision, prev_seq, path, value,
        Py_None, SLOT(log, LOG, L_ORIGIN), seq_object,
    };
    for (int i = 0; i < 13; i++) {
        Py_INCREF(fields[i]);
        PyTuple_SET_ITEM(record, i, fields[i]);
    }
    int pushed = PyList_Append(records, record);
    Py_DECREF(record);
    if (pushed < 0) {
        Py_DECREF(stamp_object);
        return -1;
    }
    Py_INCREF(seq_object);
    *seq_out = seq_object;
    *stamp_out = stamp;
    Py_INCREF(stamp_object);
    put(&SLOT(log, LOG, L_HLC), stamp_object);
    Py_INCREF(seq_object);
    put(&SLOT(log, LOG, L_HEAD), seq_object);
    int bad = put_number(&SLOT(log, LOG, L_NEXT), seq + 1) < 0 ||
        put_number(&SLOT(pending, PENDING, P_BYTES), bytes) < 0 ||
        (stamp > floor && call_one(log, s_move_floor, stamp_object) < 0) ||
        (!armed && call(log, s_arm) < 0);
    Py_DECREF(stamp_object);
    if (bad) {
        Py_CLEAR(*seq_out);
        return -1;
    }
    return 1;
}

/* `Log.hasten`: begin a commit now if none runs and the open batch is worth one. */
static int
hasten(PyObject *log)
{
    PyObject *pending = SLOT(log, LOG, L_OPEN);
    if (SLOT(log, LOG, L_FLYING) != Py_None || pending == NULL || !IS(pending, PENDING) ||
        PyList_GET_SIZE(SLOT(pending, PENDING, P_RECORDS)) < limits[HASTEN] ||
        SLOT(log, LOG, L_ARMED) != Py_True) {
        return 0;
    }
    return call(log, s_flush);
}

/* -- the twin: `DeviceDoor.telemetry` ------------------------------------------------------------ */

/* Whether a text that begins with a brace needs no walk over its keys. */
static int
is_harmless(const unsigned char *text, Py_ssize_t size)
{
    unsigned char bad = 0;
    for (Py_ssize_t i = 0; i < size; i++) { /* without a way out: so it becomes vector code */
        unsigned char c = text[i];
        bad |= (c >= 0x7f) | (c == '/') | (c == '\\');
    }
    if (bad) {
        return 0;
    }
    long depth = 0;
    const unsigned char *at = text, *end = text + size;
    while ((at = memchr(at, '[', end - at)) != NULL) {
        at++;
        if (++depth > depth_max) {
            return 0;
        }
    }
    return 1;
}

/* 1: merged; 0: not ours, and nothing has happened; -1: an error is set. */
static int
telemetry(PyObject *door, PyObject *feature, PyObject *payload, PyObject *cls)
{
    PyObject *hot = SLOT(door, DOOR, D_HOT), *log = SLOT(door, DOOR, D_LOG);
    if (hot == NULL || !IS(hot, HOT) || log == NULL || !IS(log, LOG)) {
        return 0;
    }
    PyObject *doc = SLOT(hot, HOT, T_DOC);
    if (SLOT(hot, HOT, T_GONE) != Py_False || doc == NULL || doc == Py_None) {
        return 0;
    }
    PyObject *engine = SLOT(door, DOOR, D_ENGINE);
    PyObject *changed = PyObject_GetAttr(engine, s_policies_changed);
    if (changed == NULL) {
        return -1;
    }
    int same = PyObject_RichCompareBool(changed, SLOT(door, DOOR, D_GENERATION), Py_EQ);
    Py_DECREF(changed);
    if (same <= 0) {
        return same;
    }
    PyObject *path = PyDict_GetItemWithError(SLOT(door, DOOR, D_PATHS), feature);
    if (path == NULL) {
        return PyErr_Occurred() ? -1 : 0;
    }
    const unsigned char *text = (const unsigned char *)PyBytes_AS_STRING(payload);
    Py_ssize_t size = PyBytes_GET_SIZE(payload);
    long long pending_bytes = number(SLOT(hot, HOT, T_PENDING_BYTES));
    if (failed(pending_bytes)) {
        return -1;
    }
    if (PyBytes_GET_SIZE(doc) + pending_bytes + size > limits[THING_BYTES] ||
        !is_harmless(text, size) || memchr(text + 1, '{', size - 1) != NULL) {
        return 0; /* objects inside are walked for forbidden keys: Python's part */
    }
    PyObject *patch = PyObject_CallOneArg(loads, payload);
    if (patch == NULL) {
        /* Python says it again, in words. */
        PyErr_Clear();
        return 0;
    }
    int refused = !PyDict_CheckExact(patch) ? 1 : PyDict_Contains(patch, s_empty);
    if (refused) {
        Py_DECREF(patch);
        return refused < 0 ? -1 : 0;
    }
    long long revision = number(SLOT(hot, HOT, T_REVISION)) + 1;
    long long dirty = number(SLOT(hot, HOT, T_DIRTY));
    long long modified = number(SLOT(hot, HOT, T_MODIFIED));
    PyObject *revision_object = PyErr_Occurred() ? NULL : PyLong_FromLongLong(revision);
    if (revision_object == NULL) {
        Py_DECREF(patch);
        return -1;
    }
    PyObject *seq = NULL;
    long long stamp = 0;
    Py_INCREF(hot);
    Py_INCREF(path);
    int done = append_plain(log, cls, SLOT(door, DOOR, D_ENTITY), revision_object,
                            SLOT(hot, HOT, T_LAST_SEQ), path, payload, &seq, &stamp);
    if (done <= 0) {
        Py_DECREF(revision_object);
        goto out;
    }
    put(&SLOT(hot, HOT, T_REVISION), revision_object);
    Py_INCREF(seq);
    put(&SLOT(hot, HOT, T_LAST_SEQ), seq);
    done = -1;
    if (PyDict_SetItem(SLOT(hot, HOT, T_LANES), path, SLOT(log, LOG, L_HLC)) < 0 ||
        (stamp >> 16 != modified && put_number(&SLOT(hot, HOT, T_MODIFIED), stamp >> 16) < 0)) {
        goto out;
    }
    Py_INCREF(Py_True);
    put(&SLOT(hot, HOT, T_USED), Py_True);
    PyObject *pending = SLOT(hot, HOT, T_PENDING);
    PyObject *earlier = PyDict_GetItemWithError(pending, path);
    if (earlier == NULL) {
        if (PyErr_Occurred() || call_one(engine, s_keep_pending, hot) < 0 ||
            PyDict_SetItem(SLOT(hot, HOT, T_PENDING), path, patch) < 0) {
            goto out;
        }
        size += PyUnicode_GET_LENGTH(path);
    }
    else if (PyDict_Update(earlier, patch) < 0) {
        goto out;
    }
    if (put_number(&SLOT(hot, HOT, T_PENDING_BYTES), pending_bytes + size) < 0) {
        goto out;
    }
    if (SLOT(hot, HOT, T_WATCHED) != Py_False && call_one(engine, s_unwatch, hot) < 0) {
        goto out;
    }
    if (dirty == 0 || revision % limits[SNAPSHOT] == 0) {
        PyObject *touched = PyObject_CallMethodObjArgs(engine, s_touch, hot, seq, NULL);
        Py_XDECREF(touched);
        if (touched == NULL) {
            goto out;
        }
    }
    done = 1;
out:
    Py_XDECREF(seq);
    Py_DECREF(patch);
    Py_DECREF(path);
    Py_DECREF(hot);
    return done;
}

/* -- the door: `MqttConnection._run` ------------------------------------------------------------- */

/* Where the body of the packet at `at` begins and ends; 0 if that is not for us to say. */
static int
frame(const unsigned char *data, Py_ssize_t at, Py_ssize_t size, Py_ssize_t *body, Py_ssize_t *end)
{
    Py_ssize_t length = 0;
    int shift = 0;
    for (Py_ssize_t i = at + 1; i < size && shift <= 21; i++, shift += 7) {
        length |= (Py_ssize_t)(data[i] & 0x7f) << shift;
        if (data[i] < 0x80) {
            *body = i + 1;
            *end = i + 1 + length;
            return *end <= size;
        }
    }
    return 0;
}

/* The group of the open batch, borrowed from the deque: the newest one, or a new one. */
static PyObject *
group_of(PyObject *connection, PyObject *hub, PyObject *groups, PyObject *batch)
{
    Py_ssize_t waiting = PyObject_Size(groups);
    if (waiting < 0) {
        return NULL;
    }
    if (waiting > 0) {
        PyObject *newest = PySequence_GetItem(groups, waiting - 1);
        if (newest == NULL) {
            return NULL;
        }
        Py_DECREF(newest); /* the deque holds it */
        int same = PyObject_RichCompareBool(SLOT(newest, GROUP, G_BATCH), batch, Py_EQ);
        if (same != 0) {
            return same < 0 ? NULL : newest;
        }
    }
    PyObject *group = types[GROUP]->tp_alloc(types[GROUP], 0);
    PyObject *acks = PyList_New(0), *zero = PyLong_FromLong(0);
    if (group == NULL || acks == NULL || zero == NULL) {
        Py_XDECREF(group);
        Py_XDECREF(acks);
        Py_XDECREF(zero);
        return NULL;
    }
    Py_INCREF(batch);
    Py_INCREF(zero);
    SLOT(group, GROUP, G_BATCH) = batch;
    SLOT(group, GROUP, G_ACKS) = acks;
    SLOT(group, GROUP, G_RECORDS) = zero;
    SLOT(group, GROUP, G_SIZE) = zero;
    int bad = call_one(groups, s_append, group) < 0;
    Py_DECREF(group);
    if (bad) {
        return NULL;
    }
    int joined = PyObject_RichCompareBool(SLOT(hub, HUB, H_BATCH), batch, Py_EQ);
    if (joined > 0) {
        joined = PyList_Append(SLOT(hub, HUB, H_JOINED), connection) < 0 ? -1 : 1;
    }
    else if (joined == 0) {
        PyObject *done = PyObject_CallMethodObjArgs(hub, s_join, connection, batch, NULL);
        Py_XDECREF(done);
        joined = done == NULL ? -1 : 1;
    }
    return joined < 0 ? NULL : group;
}

/* Charge what was taken of one buffer. */
static int
charge(PyObject *hub, PyObject *acks, PyObject *group, long long count, long long size)
{
    PyObject **at[5] = {
        &SLOT(hub, HUB, H_PUBLISHES), &SLOT(group, GROUP, G_RECORDS), &SLOT(group, GROUP, G_SIZE),
        &SLOT(acks, ACKS, A_RECORDS), &SLOT(acks, ACKS, A_SIZE),
    };
    long long more[5] = {count, count, size, count, size};
    for (int i = 0; i < 5; i++) {
        long long before = number(*at[i]);
        if (failed(before) || put_number(at[i], before + more[i]) < 0) {
            return -1;
        }
    }
    return 0;
}

/* Take in the plain publishes at the beginning of `data`; return how many bytes they were. */
static PyObject *
take(PyObject *module, PyObject *const *args, Py_ssize_t nargs)
{
    (void)module;
    if (nargs != 2 || !IS(args[0], CONNECTION) || !PyBytes_CheckExact(args[1])) {
        return PyLong_FromLong(0);
    }
    PyObject *connection = args[0];
    PyObject *hub = SLOT(connection, CONNECTION, C_HUB);
    PyObject *door = SLOT(connection, CONNECTION, C_DOOR);
    if (number(SLOT(connection, CONNECTION, C_STATE)) != open_state || door == NULL ||
        !IS(door, DOOR) || hub == NULL || !IS(hub, HUB)) {
        return PyErr_Occurred() ? NULL : PyLong_FromLong(0);
    }
    PyObject *log = SLOT(hub, HUB, H_COMMITS);
    PyObject *acks = SLOT(connection, CONNECTION, C_ACKS);
    if (!IS(log, LOG) || log != SLOT(door, DOOR, D_LOG) || !IS(acks, ACKS)) {
        return PyLong_FromLong(0);
    }
    const unsigned char *data = (const unsigned char *)PyBytes_AS_STRING(args[1]);
    Py_ssize_t size = PyBytes_GET_SIZE(args[1]), at = 0;
    long long packet_max = number(SLOT(hub, HUB, H_PACKET_MAX)), count = 0;
    int v5 = SLOT(connection, CONNECTION, C_V5) == Py_True;
    PyObject *known = SLOT(hub, HUB, H_KNOWN), *batch = NULL, *found = NULL, *route = NULL;
    const unsigned char *topic = NULL;
    Py_ssize_t topic_size = -1;
    long long cls = 0;
    int error = failed(packet_max);
    PyObject *group = NULL; /* borrowed from the deque, which only the commit shortens */
    while (!error && size - at >= 2) {
        unsigned char first = data[at];
        Py_ssize_t body, end;
        if ((first != 0x32 && first != 0x30 && first != 0x3A) ||
            !frame(data, at, size, &body, &end) || end - at > packet_max || end - body < 2) {
            break;
        }
        Py_ssize_t start = body + 2, payload_at = start + (data[body] << 8 | data[body + 1]);
        Py_ssize_t length = payload_at - start;
        unsigned char ack[4] = {0x40, 0x02, 0, 0};
        if (first & 2) {
            if (payload_at + 2 > end) {
                break;
            }
            ack[2] = data[payload_at];
            ack[3] = data[payload_at + 1];
            payload_at += 2;
            if (ack[2] == 0 && ack[3] == 0) {
                break;
            }
        }
        if (v5) {
            if (payload_at >= end || data[payload_at] != 0) {
                break;
            }
            payload_at++;
        }
        if (payload_at >= end || data[payload_at] != '{') {
            break;
        }
        if (length != topic_size || memcmp(topic, data + start, length) != 0) {
            PyObject *raw = PyBytes_FromStringAndSize((const char *)data + start, length);
            route = raw == NULL ? NULL : PyDict_GetItemWithError(known, raw);
            Py_XDECREF(raw);
            if (route == NULL) {
                error = PyErr_Occurred() != NULL;
                break;
            }
            Py_INCREF(route);
            Py_XSETREF(found, route);
            if (!IS(route, ROUTE) || SLOT(route, ROUTE, R_SIMPLE) != Py_True) {
                break;
            }
            topic = data + start;
            topic_size = length;
            cls = number(SLOT(route, ROUTE, R_CLS));
            error = failed(cls);
        }
        if (error || (!(first & 2) && cls == event_class)) {
            break;
        }
        PyObject *payload =
            PyBytes_FromStringAndSize((const char *)data + payload_at, end - payload_at);
        if (payload == NULL) {
            error = 1;
            break;
        }
        int done = telemetry(door, SLOT(route, ROUTE, R_FEATURE), payload,
                             SLOT(route, ROUTE, R_CLS));
        Py_DECREF(payload);
        if (done <= 0) {
            error = done < 0;
            break;
        }
        if (group == NULL) {
            batch = SLOT(log, LOG, L_BATCH);
            Py_INCREF(batch);
            group = group_of(connection, hub, SLOT(acks, ACKS, A_GROUPS), batch);
            Py_DECREF(batch);
            if (group == NULL) {
                error = 1;
                break;
            }
            Py_INCREF(group);
        }
        at = end;
        count++;
        if (first & 2) {
            PyObject *packet = PyBytes_FromStringAndSize((const char *)ack, 4);
            error = packet == NULL || PyList_Append(SLOT(group, GROUP, G_ACKS), packet) < 0;
            Py_XDECREF(packet);
        }
    }
    if (!error && group != NULL) {
        error = charge(hub, acks, group, count, at) < 0 || (at == size && hasten(log) < 0);
    }
    Py_XDECREF(group);
    Py_XDECREF(found);
    return error ? NULL : PyLong_FromSsize_t(at);
}

/* -- after the commit: `Hub._decided`, `MqttConnection.decided` ------------------------------------ */

/* 1: the oldest group of one plain connection is acknowledged; 0: not ours; -1: an error is set. */
static int
acknowledge(PyObject *connection)
{
    if (!IS(connection, CONNECTION)) {
        return 0;
    }
    PyObject *acks = SLOT(connection, CONNECTION, C_ACKS);
    PyObject *hub = SLOT(connection, CONNECTION, C_HUB);
    PyObject *groups = SLOT(acks, ACKS, A_GROUPS);
    if (SLOT(connection, CONNECTION, C_PAUSED) != Py_False || !IS(hub, HUB)) {
        return 0;
    }
    long long state = number(SLOT(connection, CONNECTION, C_STATE));
    Py_ssize_t waiting = failed(state) ? -1 : PyObject_Size(groups);
    if (state != open_state || waiting <= 0) {
        return waiting < 0 ? -1 : 0;
    }
    PyObject *group = PyObject_CallMethodNoArgs(groups, s_popleft);
    if (group == NULL) {
        return -1;
    }
    PyObject *packets = SLOT(group, GROUP, G_ACKS);
    long long records = number(SLOT(acks, ACKS, A_RECORDS)), size = number(SLOT(acks, ACKS, A_SIZE));
    long long of = number(SLOT(group, GROUP, G_RECORDS)), bytes = number(SLOT(group, GROUP, G_SIZE));
    long long before = number(SLOT(hub, HUB, H_ACKNOWLEDGED));
    Py_ssize_t many = PyList_GET_SIZE(packets);
    int done = -1;
    if (PyErr_Occurred() || put_number(&SLOT(acks, ACKS, A_RECORDS), records - of) < 0 ||
        put_number(&SLOT(acks, ACKS, A_SIZE), size - bytes) < 0 ||
        put_number(&SLOT(hub, HUB, H_ACKNOWLEDGED), before + many) < 0) {
        goto out;
    }
    if (many > 0) {
        PyObject *transport = SLOT(connection, CONNECTION, C_TRANSPORT);
        PyObject *answer;
        if (many == 1) {
            answer = PyList_GET_ITEM(packets, 0);
            Py_INCREF(answer);
        }
        else {
            answer = _PyBytes_Join(b_empty, packets);
        }
        if (answer == NULL) {
            goto out;
        }
        int written = call_one(transport, s_write, answer);
        Py_DECREF(answer);
        if (written < 0) {
            goto out;
        }
    }
    done = 1;
out:
    Py_DECREF(group);
    return done;
}

/* `peer.decided(None)` for each peer of a batch that is durable. */
static PyObject *
decided(PyObject *module, PyObject *const *args, Py_ssize_t nargs)
{
    (void)module;
    if (nargs != 2 || !PyList_CheckExact(args[1])) {
        PyErr_SetString(PyExc_TypeError, "decided(hub, peers)");
        return NULL;
    }
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(args[1]); i++) {
        PyObject *peer = PyList_GET_ITEM(args[1], i);
        Py_INCREF(peer);
        int done = acknowledge(peer);
        if (done == 0) {
            done = call_one(peer, s_decided, Py_None);
        }
        if (done < 0) {
            /* One connection's fault is not the others'. */
            PyObject *type, *value, *trace;
            if (!PyErr_ExceptionMatches(PyExc_Exception)) {
                Py_DECREF(peer);
                return NULL;
            }
            PyErr_Fetch(&type, &value, &trace);
            PyErr_NormalizeException(&type, &value, &trace);
            PyObject *told =
                PyObject_CallMethodObjArgs(args[0], s_report, peer, value, NULL);
            Py_XDECREF(type);
            Py_XDECREF(value);
            Py_XDECREF(trace);
            Py_XDECREF(told);
            if (told == NULL) {
                Py_DECREF(peer);
                return NULL;
            }
        }
        Py_DECREF(peer);
    }
    Py_RETURN_NONE;
}

/* -- the module ----------------------------------------------------------------------------------- */

static PyMethodDef methods[] = {
    {"bind", bind, METH_VARARGS, "Learn where a class keeps its slots."},
    {"configure", (PyCFunction)(void (*)(void))configure, METH_VARARGS | METH_KEYWORDS,
     "Learn the limits and constants of the Python side."},
    {"take", (PyCFunction)(void (*)(void))take, METH_FASTCALL,
     "Take in the plain publishes at the beginning of a buffer; return their bytes."},
    {"decided", (PyCFunction)(void (*)(void))decided, METH_FASTCALL,
     "Acknowledge a durable batch to its connections."},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT, "_hot", "The hot path in C; see littoral.native.", -1, methods,
    NULL, NULL, NULL, NULL,
};

PyMODINIT_FUNC
PyInit__hot(void)
{
    static const struct {
        PyObject **at;
        const char *text;
    } strings[] = {
        {&s_move_floor, "_move_floor"}, {&s_arm, "_arm"}, {&s_flush, "_flush"},
        {&s_policies_changed, "policies_changed"}, {&s_keep_pending, "keep_pending"},
        {&s_touch, "touch"}, {&s_unwatch, "unwatch"},
        {&s_join, "join"}, {&s_write, "write"}, {&s_decided, "decided"}, {&s_report, "_report"},
        {&s_append, "append"}, {&s_popleft, "popleft"}, {&s_empty, ""},
    };
    for (size_t i = 0; i < sizeof strings / sizeof *strings; i++) {
        *strings[i].at = PyUnicode_InternFromString(strings[i].text);
        if (*strings[i].at == NULL) {
            return NULL;
        }
    }
    b_empty = PyBytes_FromStringAndSize(NULL, 0);
    PyObject *module = b_empty == NULL ? NULL : PyModule_Create(&definition);
    static const char *const classes[CLASSES] = {
        "CONNECTION", "HUB", "ACKS", "GROUP", "ROUTE", "DOOR", "HOT", "LOG", "PENDING", "RECORD",
    };
    for (int i = 0; module != NULL && i < CLASSES; i++) {
        if (PyModule_AddIntConstant(module, classes[i], i) < 0) {
            Py_CLEAR(module);
        }
    }
    if (module != NULL && PyModule_AddStringConstant(module, "FINGERPRINT", FINGERPRINT) < 0) {
        Py_CLEAR(module);
    }
    return module;
}
