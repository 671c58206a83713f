package kerneltest

import "fmt"

// NginxConfig is a configuration of one nginx process in the foreground that writes
// below a folder only, with so many connections at the most and what stands in its http
// block.
func NginxConfig(dir string, connections int, http string) string {
	return fmt.Sprintf(`daemon off;
master_process off;
pid %[1]s/pid;
error_log stderr;
events { worker_connections %[2]d; }
http {
    access_log off;
    client_body_temp_path %[1]s/body;
    proxy_temp_path %[1]s/proxy;
    fastcgi_temp_path %[1]s/fastcgi;
    uwsgi_temp_path %[1]s/uwsgi;
    scgi_temp_path %[1]s/scgi;
%[3]s
}
`, dir, connections, http)
}
