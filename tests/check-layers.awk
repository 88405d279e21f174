# What a folder or a public header belongs to, and what may use what. Read before the
# programs of check-layers.sh.
function layer_of(path) {
    if (match(path, /(^|\/)loop\/(base|core|sync|combine|io)\//)) {
        path = substr(path, RSTART, RLENGTH - 1)
        sub(/.*\//, "", path)
        return path
    }
    if (match(path, /(^|\/)(log|http|ws|db)\//)) {
        path = substr(path, RSTART, RLENGTH)
        gsub(/\//, "", path)
        return path
    }
    sub(/^.*asyncnet\//, "", path)
    return path in header_layer ? header_layer[path] : "?"
}

function may(layer, other) {
    return layer == other || index(below[layer], " " other " ") > 0
}

BEGIN {
    below["base"] = " "
    below["core"] = " base "
    below["sync"] = " base core "
    below["combine"] = " base core sync "
    below["io"] = " base core sync combine "
    below["log"] = " base core sync combine io "
    below["http"] = below["db"] = " base core sync combine io log "
    below["ws"] = " base core sync combine io log http "

    headers = "api.h base error.h base time.h base task.h core loop.h core trace.h core"
    headers = headers " testing.h core combine.h combine inspect.h core"
    headers = headers " sync.h sync offload.h io net.h io stream.h io tls.h io udp.h io signal.h"
    headers = headers " io fd.h io file.h io path.h io process.h io"
    headers = headers " log.h log http.h http http_client.h http"
    headers = headers " pg.h db ws.h ws"
    n = split(headers, pair, " ")
    for (i = 1; i < n; i += 2)
        header_layer[pair[i]] = pair[i + 1]
}
