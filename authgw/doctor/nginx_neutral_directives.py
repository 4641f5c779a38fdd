"""Allow-list of directives that affect neither access nor what apps and clients receive.

A directive that is neither listed here nor examined by another module is reported as not checked:
its module may send responses, rewrite headers or run a program.
"""

import re
from collections.abc import Iterator

from authgw.doctor.nginx_findings import Finding, hole, unchecked
from authgw.doctor.nginx_parser import Block, Directive
from authgw.doctor.nginx_site import PASS_DIRECTIVES, NginxSite, upstream_of

_EXAMINED = """
    add_after_body add_before_body add_header alias auth_request auth_request_set break
    error_page if_modified_since index internal listen log_format real_ip_header real_ip_recursive
    return rewrite root satisfy server_name set set_real_ip_from ssi try_files include
    underscores_in_headers ignore_invalid_headers ssl_reject_handshake add_trailer
"""
_NEUTRAL = """
    absolute_redirect accept_mutex accept_mutex_delay access_log addition_types aio aio_write allow
    ancient_browser ancient_browser_value auth_basic auth_basic_user_file auth_delay autoindex
    autoindex_exact_size autoindex_format autoindex_localtime charset charset_map charset_types
    chunked_transfer_encoding client_body_buffer_size client_body_in_file_only
    client_body_in_single_buffer client_body_temp_path client_body_timeout client_header_buffer_size
    client_header_timeout client_max_body_size connection_pool_size create_full_put_path daemon
    dav_access dav_methods debug_connection debug_points default_type deny directio
    directio_alignment disable_symlinks early_hints empty_gif env error_log etag events expires flv
    geoip_city geoip_country geoip_org geoip_proxy geoip_proxy_recursive gunzip gunzip_buffers gzip
    gzip_buffers gzip_comp_level gzip_disable gzip_http_version gzip_min_length gzip_proxied
    gzip_static gzip_types gzip_vary hash http2 http2_body_preread_size http2_chunk_size
    http2_idle_timeout http2_max_concurrent_pushes http2_max_concurrent_streams
    http2_max_field_size http2_max_header_size http2_max_requests http2_push http2_push_preload
    http2_recv_buffer_size http2_recv_timeout http3 http3_hq http3_max_concurrent_streams
    http3_stream_buffer_size image_filter image_filter_buffer image_filter_interlace
    image_filter_jpeg_quality image_filter_sharpen image_filter_transparency
    image_filter_webp_quality ip_hash keepalive keepalive_disable keepalive_min_timeout
    keepalive_requests keepalive_time keepalive_timeout large_client_header_buffers least_conn
    least_time limit_conn limit_conn_dry_run limit_conn_log_level limit_conn_status limit_conn_zone
    limit_rate limit_rate_after limit_req limit_req_dry_run limit_req_log_level limit_req_status
    limit_req_zone limit_zone lingering_close lingering_time lingering_timeout load_module lock_file
    log_not_found log_subrequest map_hash_bucket_size map_hash_max_size master_process max_headers
    max_ranges merge_slashes min_delete_depth mirror mirror_request_body modern_browser
    modern_browser_value mp4 mp4_buffer_size mp4_limit_rate mp4_limit_rate_after mp4_max_buffer_size
    mp4_start_key_frame msie_padding msie_refresh multi_accept open_file_cache
    open_file_cache_errors open_file_cache_min_uses open_file_cache_valid open_log_file_cache
    output_buffers override_charset pcre_jit pid port_in_redirect postpone_output queue
    quic_active_connection_id_limit quic_bpf quic_gso quic_host_key quic_retry random random_index
    read_ahead recursive_error_pages
    referer_hash_bucket_size referer_hash_max_size request_pool_size reset_timedout_connection
    resolver resolver_timeout rewrite_log secure_link secure_link_md5 secure_link_secret send_lowat
    send_timeout sendfile sendfile_max_chunk server server_name_in_redirect
    server_names_hash_bucket_size server_names_hash_max_size server_tokens slice source_charset
    split_clients ssi_last_modified ssi_min_file_chunk ssi_silent_errors ssi_types ssi_value_length
    ssl state status_zone sticky stub_status sub_filter sub_filter_last_modified sub_filter_once
    sub_filter_types subrequest_output_buffer_size tcp_nodelay tcp_nopush thread_pool
    timer_resolution types_hash_bucket_size types_hash_max_size uninitialized_variable_warn use user
    userid userid_domain userid_expires userid_flags userid_mark userid_name userid_p3p userid_path
    userid_service valid_referers variables_hash_bucket_size variables_hash_max_size
    worker_aio_requests worker_connections worker_cpu_affinity worker_priority worker_processes
    worker_rlimit_core worker_rlimit_nofile worker_shutdown_timeout working_directory xml_entities
    xslt_last_modified xslt_param xslt_string_param xslt_stylesheet xslt_types zone
    more_set_headers more_clear_headers
"""
_KNOWN = frozenset((*_EXAMINED.split(), *_NEUTRAL.split()))
# For each protocol to apps; its other directives are examined elsewhere or reported as not known.
_PASS_MODULES = re.compile(
    r"(?:proxy|fastcgi|uwsgi|scgi|grpc|memcached)_(?:\w+_(?:timeout|size)|pass|param|set_header"
    r"|allow_upstream|bind|buffer\w*|busy_buffers_size|cache\w*|catch_stderr|cookie_\w+|force_ranges"
    r"|gzip_flag|headers_hash_\w+|hide_header|http_version|ignore_client_abort|ignore_headers|index"
    r"|intercept_errors|keep_conn|limit_rate|max_temp_file_size|method|modifier[12]|next_upstream\w*"
    r"|no_cache|pass_error_message|pass_header|pass_request_body|pass_request_headers|redirect"
    r"|request_buffering|send_lowat|socket_keepalive|split_path_info|ssl_\w+|store|store_access"
    r"|temp_path)"
)
_TLS_MODULES = re.compile(r"ssl_\w+|quic_\w+|acme_\w+")
# Their lines are data, or have no effect on requests that pass through the http block.
_DATA_BLOCKS = ("map", "geo", "types", "split_clients", "charset_map", "match", "events", "mail")
_KNOWN_BLOCKS = (
    "main",
    "http",
    "server",
    "location",
    "if",
    "limit_except",
    "upstream",
    "stream",
    *_DATA_BLOCKS,
)


def examine(site: NginxSite) -> Iterator[Finding]:
    """Report every unknown directive or block, and streams that bypass the http block."""
    yield from _unknown(site.top)
    for block in site.top.walk():
        if block.name == "stream":
            yield from _streams(site, block)


def _unknown(block: Block) -> Iterator[Finding]:
    if block.name in (*_DATA_BLOCKS, "stream"):
        return
    where = f" in {block}" if block.name in ("location", "if") else ""
    for each in block.directives:
        if not _is_known(each.name):
            yield unchecked(each, f"{each.name}{where} is not known to the doctor.")
    for child in block.children:
        if child.name in _KNOWN_BLOCKS:
            yield from _unknown(child)
        else:
            yield unchecked(child, f"{child.name}{where} is not known to the doctor.")


def _is_known(name: str) -> bool:
    return name in _KNOWN or bool(_PASS_MODULES.fullmatch(name) or _TLS_MODULES.fullmatch(name))


def _streams(site: NginxSite, stream: Block) -> Iterator[Finding]:
    """Check that no stream reaches an app without passing through the http block."""
    apps = _addresses(site.top, "http") - site.gateways
    for block in stream.walk():
        for each in block.named("proxy_pass"):
            if _targets(stream, each) & apps:
                message = f"{each} in stream leads to the same app, without a check by the gateway."
                yield hole(each, message, "Remove it.")
            else:
                yield unchecked(each, f"{each} in stream: the doctor cannot tell what it reaches.")


def _addresses(top: Block, context: str) -> set[str]:
    addresses: set[str] = set()
    for outer in top.children:
        if outer.name == context:
            for block in outer.walk():
                for each in block.named(*PASS_DIRECTIVES):
                    addresses |= _targets(outer, each)
    return addresses


def _targets(context: Block, pass_line: Directive) -> set[str]:
    name = upstream_of(pass_line)
    upstreams = [
        block for block in context.walk() if block.name == "upstream" and block.args[0] == name
    ]
    return {each.args[0] for block in upstreams for each in block.named("server")} or {name}
