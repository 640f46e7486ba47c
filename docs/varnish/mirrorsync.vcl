# Varnish in front of a mirrorsync tree: pages stay until mirrorsync purges them. For Varnish 6 and 7.
# Adapt the two places marked (1) and (2). mirrorsync.toml: [purge] caches = ["http://127.0.0.1:6081"]
vcl 4.1;

backend mirror {
    .host = "127.0.0.1";    # (1) the web server that serves the tree
    .port = "8080";
}

acl purgers {
    "127.0.0.1";            # (2) the host of mirrorsync
    "::1";
}

sub vcl_recv {
    if (req.method == "PURGE" || req.method == "BAN") {
        if (client.ip !~ purgers) {
            return (synth(403, "Not from here"));
        }
        if (req.method == "PURGE") {
            return (purge);
        }
        ban("obj.http.X-Mirrorsync-Url ~ " + req.http.X-Ban);
        return (synth(200, "Banned"));
    }
    # Accept selects HTML or JSON; no other request header changes the response.
    unset req.http.Cookie;
    unset req.http.Authorization;
}

sub vcl_hash {
    # One copy for all host names that clients and purges use for the mirror.
    hash_data(req.url);
    return (lookup);
}

sub vcl_backend_response {
    set beresp.http.X-Mirrorsync-Url = bereq.url;
    if (bereq.url ~ "^/(simple|pypi)/") {
        # A purge removes a page; the limit of a day applies when purges stop.
        set beresp.ttl = 1d;
        set beresp.grace = 0s;
        if (beresp.status != 200) {
            set beresp.ttl = 1m;
        }
    } elsif (bereq.url ~ "^/mirrorsync/" || bereq.url == "/last-modified") {
        set beresp.ttl = 5s;
        set beresp.grace = 0s;
    } elsif (beresp.status != 200) {
        set beresp.ttl = 10s;
        set beresp.grace = 0s;
    }
}

sub vcl_deliver {
    unset resp.http.X-Mirrorsync-Url;
}
