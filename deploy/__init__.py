"""What deploys facescan: the chart, Kafka's and AWS's resources, alerts, dashboards; much is written from code."""
