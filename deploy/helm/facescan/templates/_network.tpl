{{- define "facescan.common" -}}
- to: {{- toYaml .root.Values.networkPolicy.dns | nindent 4 }}
  ports: [{port: 53, protocol: UDP}, {port: 53}]
- to: {{- toYaml .root.Values.kafka.peers | nindent 4 }}
  ports: [{port: {{ .root.Values.kafka.port }}}]
{{- end -}}

{{- define "facescan.aws" -}}
- to:
    {{- range .root.Values.aws.cidrs }}
    - ipBlock: {cidr: {{ . }}}
    {{- end }}
  ports: [{port: {{ .root.Values.aws.port }}}]
{{- end -}}

{{/* The public internet: what the code's own guard lets through (files/not-public.json is written from it). */}}
{{- define "facescan.public" -}}
{{- $networks := .root.Files.Get "files/not-public.json" | fromJson -}}
- ipBlock:
    cidr: 0.0.0.0/0
    except: {{- toYaml $networks.ipv4 | nindent 6 }}
- ipBlock:
    cidr: {{ $networks.global_ipv6 }}
    except: {{- toYaml $networks.ipv6 | nindent 6 }}
{{- end -}}
